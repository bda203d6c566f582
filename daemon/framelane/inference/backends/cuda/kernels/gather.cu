// What a model gives for each kept box besides its score: mask weights, points, an angle, a mask. One block per box.
#include "candidates.h"
#include "half.h"

#define GATHER_THREADS 256  // at most

// Details [batch, max_det, 4 + extra]: the box in input pixels, then the last `extra` values of its prediction. The value v of
// prediction a is at output[image * values * anchors + a * anchor_step + v * value_step]. Rows beyond the count are not written, so
// that details may lie in the host's memory, and only those of kept boxes travel there.
template <class T>
__device__ __forceinline__ void gather(
    const T* output, const Box* box, const float* result, const int* kept_anchor, int anchors, int values, int extra, int anchor_step,
    int value_step, int max_det, float* details) {
    int number = blockIdx.x, image = blockIdx.y;
    if (number >= (int)result[(long long)image * (1 + 6 * max_det)]) return;
    int anchor = kept_anchor[(long long)image * max_det + number];
    float* row = details + ((long long)image * max_det + number) * (4 + extra);
    const Box& found = box[(long long)image * anchors + anchor];
    if (threadIdx.x == 0) {
        row[0] = found.x1;
        row[1] = found.y1;
        row[2] = found.x2;
        row[3] = found.y2;
    }
    const T* prediction = output + (long long)image * values * anchors + (long long)anchor * anchor_step;
    for (int each = threadIdx.x; each < extra; each += blockDim.x)
        row[4 + each] = value_of(prediction + (long long)(values - extra + each) * value_step);
}

extern "C" __global__ void __launch_bounds__(GATHER_THREADS) framelane_gather_float32(
    const float* output, const Box* box, const float* result, const int* kept_anchor, int anchors, int values, int extra,
    int anchor_step, int value_step, int max_det, float* details) {
    gather(output, box, result, kept_anchor, anchors, values, extra, anchor_step, value_step, max_det, details);
}

extern "C" __global__ void __launch_bounds__(GATHER_THREADS) framelane_gather_float16(
    const unsigned short* output, const Box* box, const float* result, const int* kept_anchor, int anchors, int values, int extra,
    int anchor_step, int value_step, int max_det, float* details) {
    gather(output, box, result, kept_anchor, anchors, values, extra, anchor_step, value_step, max_det, details);
}
