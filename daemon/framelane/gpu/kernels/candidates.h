// What the decoding kernels leave for suppression: the boxes that passed their threshold, of every picture of a batch.
#pragma once

struct alignas(16) Box {
    float x1, y1, x2, y2;
};

// Arrays [batch, anchors]. Box and class stand at their anchor's place; keys are a list in no order, as long as `count` says.
struct Candidates {
    unsigned long long* key;
    Box* box;
    int* class_id;
    int* count;  // [batch]
    int anchors;
};

// Keys in rising order are confidences in falling order, equals in the order of their anchors: what the CPU's stable sort gives.
__device__ __forceinline__ unsigned long long candidate_key(float confidence, int anchor) {
    unsigned bits = __float_as_uint(confidence + 0.f);  // the sum makes -0 an ordinary 0, its equal
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
