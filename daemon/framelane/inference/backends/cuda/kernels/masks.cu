// Masks near their boxes, before enlargement: sums of prototypes, weighted by each kept prediction. One block per box.
#include "candidates.h"
#include "half.h"

#define MASKS_THREADS 256
// As in models/heads/masks.py.
#define MASKS_MARGIN 2
// Beyond any map, and a float that fits an int.
#define MASKS_FAR 1e6f

struct Window {
    int left, top, right, bottom;

    __device__ __forceinline__ int cells() const {
        return max(right - left, 0) * max(bottom - top, 0);
    }
};

__device__ __forceinline__ int cell_at(float pixels, float stride) {
    return (int)floorf(fminf(fmaxf(pixels / stride, -MASKS_FAR), MASKS_FAR));
}

// The cells around a box, with a margin. Strides are powers of 2, so that the division is exact, as on the CPU.
__device__ __forceinline__ Window window_of(const Box& box, float stride, int height, int width) {
    return {
        max(cell_at(box.x1, stride) - MASKS_MARGIN, 0), max(cell_at(box.y1, stride) - MASKS_MARGIN, 0),
        min(cell_at(box.x2, stride) + 1 + MASKS_MARGIN, width), min(cell_at(box.y2, stride) + 1 + MASKS_MARGIN, height)};
}

// Sums [batch, room]: for each kept box of an image in order the cells of its window, row by row, of the maps [batch, extra, height,
// width], as long as there is room. Weights are the last `extra` values of the box's prediction, which lies as in gather.cu. Sums may
// lie in the host's memory; what is not written does not travel.
template <class T>
__device__ __forceinline__ void sum_maps(
    const void* output, int half, const T* maps, const Box* box, const float* result, const int* kept_anchor, int anchors, int values,
    int extra, int anchor_step, int value_step, int max_det, int height, int width, float stride, int room, float* sums) {
    int number = blockIdx.x, image = blockIdx.y;
    if (number >= (int)result[(long long)image * (1 + 6 * max_det)]) return;
    const int* anchor = kept_anchor + (long long)image * max_det;
    const Box* boxes = box + (long long)image * anchors;
    __shared__ int before;
    if (threadIdx.x == 0) before = 0;
    __syncthreads();
    for (int each = threadIdx.x; each < number; each += blockDim.x)
        atomicAdd(&before, window_of(boxes[anchor[each]], stride, height, width).cells());
    __syncthreads();
    Window window = window_of(boxes[anchor[number]], stride, height, width);
    int cells = window.cells(), across = window.right - window.left, begin = before;
    if (begin + cells > room) return;
    const T* map = maps + (long long)image * extra * height * width;
    long long weight =
        (long long)image * values * anchors + (long long)anchor[number] * anchor_step + (long long)(values - extra) * value_step;
    float* to = sums + (long long)image * room + begin;
    for (int cell = threadIdx.x; cell < cells; cell += blockDim.x) {
        const T* from = map + (window.top + cell / across) * width + window.left + cell % across;
        float sum = 0;
        for (int each = 0; each < extra; ++each)
            sum += value_of(output, weight + (long long)each * value_step, half) * value_of(from + (long long)each * height * width);
        to[cell] = sum;
    }
}

extern "C" __global__ void __launch_bounds__(MASKS_THREADS) framelane_sum_maps_float32(
    const void* output, int half, const float* maps, const Box* box, const float* result, const int* kept_anchor, int anchors, int values,
    int extra, int anchor_step, int value_step, int max_det, int height, int width, float stride, int room, float* sums) {
    sum_maps(
        output, half, maps, box, result, kept_anchor, anchors, values, extra, anchor_step, value_step, max_det, height, width, stride,
        room, sums);
}

extern "C" __global__ void __launch_bounds__(MASKS_THREADS) framelane_sum_maps_float16(
    const void* output, int half, const unsigned short* maps, const Box* box, const float* result, const int* kept_anchor, int anchors,
    int values, int extra, int anchor_step, int value_step, int max_det, int height, int width, float stride, int room, float* sums) {
    sum_maps(
        output, half, maps, box, result, kept_anchor, anchors, values, extra, anchor_step, value_step, max_det, height, width, stride,
        room, sums);
}
