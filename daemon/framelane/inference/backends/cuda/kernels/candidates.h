// The decoding kernels' output for suppression: for each image of a batch, the boxes that passed their threshold.
#pragma once

struct alignas(16) Box {
    float x1, y1, x2, y2;
};

// A rotated box: center, size, and an angle in radians.
struct Turned {
    float x, y, width, height, angle;
};

// Arrays [batch, anchors]. A box and its class are at their anchor's index; keys are an unordered list of `count` entries.
struct Candidates {
    unsigned long long* key;
    Box* box;
    int* class_id;
    int* count;      // [batch]
    Turned* turned;  // null if boxes are upright; else `box` has their hulls
    int anchors;
};

// Ascending keys are descending confidences; equal ones are in the order of their anchors, as in the CPU's stable sort.
__device__ __forceinline__ unsigned long long candidate_key(float confidence, int anchor) {
    // The sum turns -0 into 0, which is equal to it.
    unsigned bits = __float_as_uint(confidence + 0.f);
    unsigned rising = bits >> 31 ? ~bits : bits | 0x80000000u;
    return (unsigned long long)~rising << 32 | (unsigned)anchor;
}

__device__ __forceinline__ int anchor_of(unsigned long long key) {
    return (int)(unsigned)key;
}

__device__ __forceinline__ float confidence_of(unsigned long long key) {
    unsigned rising = ~(unsigned)(key >> 32);
    return __uint_as_float(rising >> 31 ? rising & 0x7fffffffu : ~rising);
}
