// From a model's raw output to candidates: each anchor's best class, if it is wanted, and its box in input pixels.
// The same as models/heads, operation by operation. Grid: anchors by images; a block works on one image.
#include "candidates.h"
#include "half.h"

#define DECODE_THREADS 256
#define DECODE_CHUNK 1024     // classes whose numbers are in shared memory at a time
#define DECODE_TILE 32        // classes whose scores are in shared memory at a time, for all rows of a block
#define DECODE_FARTHEST 1e6f  // the same as models/postprocess.py

// Levels of cells; 0 if boxes are in pixels already.
struct DecodeGrid {
    int levels;
    int stride[4];
    int input_wh[2];
};

// The first of the greatest scores, as argmax; NaN if any score is, which passes no threshold.
template <class T>
__device__ __forceinline__ float decode_best(const T* scores, long long step, int classes, int* class_id) {
    float best = value_of(scores);
    bool broken = best != best;
    *class_id = 0;
#pragma unroll 8
    for (int id = 1; id < classes; ++id) {
        float score = value_of(scores + id * step);
        broken |= score != score;
        if (score > best) {
            best = score;
            *class_id = id;
        }
    }
    return broken ? __uint_as_float(0x7fc00000u) : best;
}

__device__ __forceinline__ Box decode_corners(float center_x, float center_y, float width, float height) {
    Box box;
    box.x1 = center_x - width * 0.5f;
    box.y1 = center_y - height * 0.5f;
    box.x2 = box.x1 + width;
    box.y2 = box.y1 + height;
    return box;
}

// Notes a rotated box and returns its hull, as models/heads/rotation.py.
__device__ __forceinline__ Box decode_turned(const Candidates& to, int image, int anchor, const Turned& turned) {
    to.turned[(long long)image * to.anchors + anchor] = turned;
    float cosine = fabsf(cosf(turned.angle)), sine = fabsf(sinf(turned.angle));
    float across = (turned.width * cosine + turned.height * sine) * 0.5f;
    float down = (turned.width * sine + turned.height * cosine) * 0.5f;
    return Box{turned.x - across, turned.y - down, turned.x + across, turned.y + down};
}

// Whether a box has an area and its corners are within bounds; infinite and NaN are not.
__device__ __forceinline__ bool decode_sound(const Box& box) {
    return fabsf(box.x1) < DECODE_FARTHEST && fabsf(box.y1) < DECODE_FARTHEST && fabsf(box.x2) < DECODE_FARTHEST &&
           fabsf(box.y2) < DECODE_FARTHEST && box.x2 > box.x1 && box.y2 > box.y1;
}

// Adds this thread's candidate, if any, to its image's list, with one atomic on global memory per block. All threads must call it.
__device__ __forceinline__ void decode_keep(
    bool passed, const Candidates& to, int image, int anchor, Box box, float confidence, int class_id) {
    __shared__ int found, first;
    passed = passed && decode_sound(box);
    if (threadIdx.x == 0) found = 0;
    __syncthreads();
    int place = passed ? atomicAdd(&found, 1) : 0;
    __syncthreads();
    if (threadIdx.x == 0 && found) first = atomicAdd(&to.count[image], found);
    __syncthreads();
    if (!passed) return;
    long long row = (long long)image * to.anchors;
    to.key[row + first + place] = candidate_key(confidence, anchor);
    to.box[row + anchor] = box;
    to.class_id[row + anchor] = class_id;
}

// The least of an image's thresholds; infinite if nothing is wanted. Thresholds are not negative, so their bits sort as they do.
__device__ __forceinline__ float decode_floor(const float* thresholds, int classes) {
    __shared__ unsigned least;
    if (threadIdx.x == 0) least = 0x7f800000u;
    __syncthreads();
    unsigned mine = 0x7f800000u;
    for (int id = threadIdx.x; id < classes; id += DECODE_THREADS)
        mine = min(mine, __float_as_uint(thresholds[id] + 0.f));
    if (mine != 0x7f800000u) atomicMin(&least, mine);
    __syncthreads();
    return __uint_as_float(least);
}

// [batch, values, anchors]: box, scores, and an angle or values for other kernels. Neighboring threads read neighboring anchors, class by class.
// Wanted classes are read first; all classes are read only if one of those reaches its threshold.
template <class T>
__device__ __forceinline__ void decode_columns(const T* output, const float* thresholds, const int* live, Candidates to, int classes, int values) {
    __shared__ int wanted[DECODE_CHUNK];
    __shared__ float least[DECODE_CHUNK];
    __shared__ int many;
    int image = blockIdx.y, anchor = blockIdx.x * DECODE_THREADS + threadIdx.x;
    if (image >= *live) return;
    long long step = to.anchors;
    const T* column = output + image * values * step + min(anchor, to.anchors - 1);
    const T* scores = column + 4 * step;
    thresholds += (long long)image * classes;
    bool passed = false;
    for (int start = 0; start < classes; start += DECODE_CHUNK) {
        if (threadIdx.x == 0) many = 0;
        __syncthreads();
        for (int id = start + threadIdx.x; id < min(start + DECODE_CHUNK, classes); id += DECODE_THREADS)
            if (thresholds[id] <= 3.402823466e38f) {
                int number = atomicAdd(&many, 1);
                wanted[number] = id;
                least[number] = thresholds[id];
            }
        __syncthreads();
        int count = many;
#pragma unroll 8
        for (int number = 0; number < count; ++number)
            passed |= value_of(scores + wanted[number] * step) >= least[number];
        __syncthreads();
    }
    passed = passed && anchor < to.anchors;
    Box box = {};
    float confidence = 0;
    int class_id = 0;
    if (passed) {
        confidence = decode_best(scores, step, classes, &class_id);
        passed = confidence >= thresholds[class_id];
        float value[4] = {value_of(column), value_of(column + step), value_of(column + 2 * step), value_of(column + 3 * step)};
        if (to.turned)
            box = decode_turned(to, image, anchor, {value[0], value[1], value[2], value[3], value_of(column + (values - 1) * step)});
        else
            box = decode_corners(value[0], value[1], value[2], value[3]);
    }
    decode_keep(passed, to, image, anchor, box, confidence, class_id);
}

// Converts offsets from cells and logarithms of sizes to pixels: level by level, row by row.
__device__ __forceinline__ void decode_from_grid(const DecodeGrid& grid, int anchor, float value[4]) {
    for (int level = 0; level < grid.levels; ++level) {
        int stride = grid.stride[level];
        int columns = (grid.input_wh[0] + stride - 1) / stride, rows = (grid.input_wh[1] + stride - 1) / stride;
        if (anchor < columns * rows) {
            value[0] = (value[0] + anchor % columns) * stride;
            value[1] = (value[1] + anchor / columns) * stride;
            value[2] = expf(value[2]) * stride;
            value[3] = expf(value[3]) * stride;
            return;
        }
        anchor -= columns * rows;
    }
}

// [batch, anchors, 5 + classes]: box, objectness, scores. The objectness alone excludes most rows.
template <class T>
__device__ __forceinline__ void decode_rows(
    const T* output, const float* thresholds, const int* live, Candidates to, int classes, const DecodeGrid& grid) {
    int image = blockIdx.y, anchor = blockIdx.x * DECODE_THREADS + threadIdx.x;
    if (image >= *live) return;
    thresholds += (long long)image * classes;
    float floor = decode_floor(thresholds, classes);
    const T* row = output + ((long long)image * to.anchors + min(anchor, to.anchors - 1)) * (5 + classes);
    float objectness = value_of(row + 4);
    bool passed = anchor < to.anchors && objectness >= floor;
    Box box = {};
    float confidence = 0;
    int class_id = 0;
    if (passed) {
        confidence = objectness * decode_best(row + 5, 1, classes, &class_id);
        passed = confidence >= thresholds[class_id];
    }
    if (passed) {
        float value[4] = {value_of(row), value_of(row + 1), value_of(row + 2), value_of(row + 3)};
        decode_from_grid(grid, anchor, value);
        box = decode_corners(value[0], value[1], value[2], value[3]);
    }
    decode_keep(passed, to, image, anchor, box, confidence, class_id);
}

// [batch, anchors, values]: box, score, class, and an angle or values for other kernels. Classes outside `classes` are ignored.
// Boxes are corners, or center and size if `centered` or with an angle, in units of `scale` pixels.
template <class T>
__device__ __forceinline__ void decode_end2end(
    const T* output, const float* thresholds, const int* live, Candidates to, int classes, int values, int centered, float scale_x,
    float scale_y) {
    int image = blockIdx.y, anchor = blockIdx.x * DECODE_THREADS + threadIdx.x;
    if (image >= *live) return;
    const T* row = output + ((long long)image * to.anchors + min(anchor, to.anchors - 1)) * values;
    float confidence = value_of(row + 4), named = value_of(row + 5);
    bool passed = anchor < to.anchors && named > -1.f && named < (float)classes;
    int class_id = passed ? (int)named : 0;
    passed = passed && confidence >= thresholds[(long long)image * classes + class_id];
    Box box = {value_of(row) * scale_x, value_of(row + 1) * scale_y, value_of(row + 2) * scale_x, value_of(row + 3) * scale_y};
    if (passed && to.turned)
        box = decode_turned(to, image, anchor, {box.x1, box.y1, box.x2, box.y2, value_of(row + 6)});
    else if (centered)
        box = decode_corners(box.x1, box.y1, box.x2, box.y2);
    decode_keep(passed, to, image, anchor, box, confidence, class_id);
}

// Boxes [batch, anchors, box_step], and for each a score of every class in [batch, anchors, score_step], at `column` [classes].
// `logits` become scores by a sigmoid. Boxes are as those of decode_end2end. Rows are read by whole warps, and then judged by a
// thread each.
template <class T>
__device__ __forceinline__ void decode_scored(
    const void* boxes, int boxes_half, int box_step, const T* scores, int score_step, const int* column, int logits,
    const float* thresholds, const int* live, Candidates to, int classes, int centered, float scale_x, float scale_y) {
    __shared__ float tile[DECODE_THREADS][DECODE_TILE + 1];
    int image = blockIdx.y, first = blockIdx.x * DECODE_THREADS, anchor = first + threadIdx.x;
    if (image >= *live) return;
    int rows = min(DECODE_THREADS, to.anchors - first), lane = threadIdx.x % DECODE_TILE;
    scores += ((long long)image * to.anchors + first) * score_step;
    float best = __uint_as_float(0xff800000u);
    bool broken = false;
    int class_id = 0;
    for (int start = 0; start < classes; start += DECODE_TILE) {
        int here = min(DECODE_TILE, classes - start);
        if (lane < here) {
            const T* from = scores + column[start + lane];
            for (int row = threadIdx.x / DECODE_TILE; row < rows; row += DECODE_THREADS / DECODE_TILE)
                tile[row][lane] = value_of(from + (long long)row * score_step);
        }
        __syncthreads();
        for (int id = 0; id < here && anchor < to.anchors; ++id) {
            float score = tile[threadIdx.x][id];
            broken |= score != score;
            if (score > best) {
                best = score;
                class_id = start + id;
            }
        }
        __syncthreads();
    }
    float confidence = logits ? 1.f / (1.f + expf(-best)) : best;
    bool passed = anchor < to.anchors && !broken && confidence >= thresholds[(long long)image * classes + class_id];
    Box box = {};
    if (passed) {
        long long row = ((long long)image * to.anchors + anchor) * box_step;
        box = Box{value_of(boxes, row, boxes_half) * scale_x, value_of(boxes, row + 1, boxes_half) * scale_y,
                  value_of(boxes, row + 2, boxes_half) * scale_x, value_of(boxes, row + 3, boxes_half) * scale_y};
        if (centered) box = decode_corners(box.x1, box.y1, box.x2, box.y2);
    }
    decode_keep(passed, to, image, anchor, box, confidence, class_id);
}

// Resets the candidates before a batch is decoded.
extern "C" __global__ void framelane_forget_candidates(int* count, int batch) {
    int image = blockIdx.x * blockDim.x + threadIdx.x;
    if (image < batch) count[image] = 0;
}

// What all kernels below take, and the candidates that they write.
#define DECODE_PARAMETERS                                                                                            \
    const float *thresholds, const int *live, unsigned long long *key, Box *box, int *class_id, int *count, Turned *turned, \
        int anchors, int classes
#define DECODE_TO Candidates{key, box, class_id, count, turned, anchors}

extern "C" __global__ void __launch_bounds__(DECODE_THREADS) framelane_decode_columns_float32(
    const float* output, DECODE_PARAMETERS, int values) {
    decode_columns(output, thresholds, live, DECODE_TO, classes, values);
}

extern "C" __global__ void __launch_bounds__(DECODE_THREADS) framelane_decode_columns_float16(
    const unsigned short* output, DECODE_PARAMETERS, int values) {
    decode_columns(output, thresholds, live, DECODE_TO, classes, values);
}

extern "C" __global__ void __launch_bounds__(DECODE_THREADS) framelane_decode_rows_float32(
    const float* output, DECODE_PARAMETERS, int levels, int stride0, int stride1, int stride2, int stride3, int input_width,
    int input_height) {
    DecodeGrid grid = {levels, {stride0, stride1, stride2, stride3}, {input_width, input_height}};
    decode_rows(output, thresholds, live, DECODE_TO, classes, grid);
}

extern "C" __global__ void __launch_bounds__(DECODE_THREADS) framelane_decode_rows_float16(
    const unsigned short* output, DECODE_PARAMETERS, int levels, int stride0, int stride1, int stride2, int stride3, int input_width,
    int input_height) {
    DecodeGrid grid = {levels, {stride0, stride1, stride2, stride3}, {input_width, input_height}};
    decode_rows(output, thresholds, live, DECODE_TO, classes, grid);
}

extern "C" __global__ void __launch_bounds__(DECODE_THREADS) framelane_decode_end2end_float32(
    const float* output, DECODE_PARAMETERS, int values, int centered, float scale_x, float scale_y) {
    decode_end2end(output, thresholds, live, DECODE_TO, classes, values, centered, scale_x, scale_y);
}

extern "C" __global__ void __launch_bounds__(DECODE_THREADS) framelane_decode_end2end_float16(
    const unsigned short* output, DECODE_PARAMETERS, int values, int centered, float scale_x, float scale_y) {
    decode_end2end(output, thresholds, live, DECODE_TO, classes, values, centered, scale_x, scale_y);
}

extern "C" __global__ void __launch_bounds__(DECODE_THREADS) framelane_decode_scored_float32(
    const void* boxes, DECODE_PARAMETERS, int boxes_half, int box_step, const float* scores, int score_step, const int* column,
    int logits, int centered, float scale_x, float scale_y) {
    decode_scored(
        boxes, boxes_half, box_step, scores, score_step, column, logits, thresholds, live, DECODE_TO, classes, centered, scale_x,
        scale_y);
}

extern "C" __global__ void __launch_bounds__(DECODE_THREADS) framelane_decode_scored_float16(
    const void* boxes, DECODE_PARAMETERS, int boxes_half, int box_step, const unsigned short* scores, int score_step, const int* column,
    int logits, int centered, float scale_x, float scale_y) {
    decode_scored(
        boxes, boxes_half, box_step, scores, score_step, column, logits, thresholds, live, DECODE_TO, classes, centered, scale_x,
        scale_y);
}
