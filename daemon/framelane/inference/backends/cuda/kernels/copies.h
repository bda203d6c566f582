// Rows of the tables of copies.cu and sharpness.cu, and the average that both use. The rows are the same as in copy_tables.py.
#pragma once

// A plane to copy within the GPU. Its samples become 8-bit ones.
struct CopiedPlane {
    unsigned long long source, target;  // device addresses
    int source_pitch, target_pitch;     // bytes from line to line; the target's is a multiple of 16
    int samples, lines;                 // samples per line; of interleaved chroma both count
    int sample_bytes;                   // of the source: 1 or 2
    float sample_scale;                 // factor from a two-byte sample to the 8-bit scale
};

// A part of Y, U or V with 8-bit samples, to be reduced to a plane of its own. A target as large as the source is a copy.
struct ReducedPlane {
    unsigned long long source, target;
    int source_pitch, target_pitch;
    int source_wh[2], target_wh[2];     // in samples
    int step;                           // from one sample of the source to the next: 1, or 2 of interleaved chroma
};

// A part of a luma plane, whose sharpness is measured at a smaller size, of at most 64 x 64.
struct Look {
    unsigned long long source;
    int pitch;
    int source_wh[2], small_wh[2];
};

// The samples of an axis that a reduced one covers, and which share of the outermost lies outside.
struct Covered {
    int first, last;
    float before, after;
};

__device__ __forceinline__ Covered covered_by(int at, int source_size, int target_size) {
    int begin = at * source_size, end = begin + source_size;  // in 1 / target_size of a sample
    Covered covered;
    covered.first = begin / target_size;
    covered.last = (end - 1) / target_size;
    covered.before = (float)(begin % target_size) / (float)target_size;
    covered.after = (float)((covered.last + 1) * target_size - end) / (float)target_size;
    return covered;
}

__device__ __forceinline__ float covered_line(const unsigned char* line, int step, const Covered& across) {
    int sum = 0;
    for (int at = across.first; at <= across.last; ++at) sum += __ldg(line + at * step);
    return (float)sum - across.before * (float)__ldg(line + across.first * step) - across.after * (float)__ldg(line + across.last * step);
}

// The average of the covered samples, weighted by their share, as OpenCV's INTER_AREA (imgproc/src/resize.cpp).
__device__ __forceinline__ int covered_average(
    const unsigned char* source, int pitch, int step, const Covered& across, const Covered& down) {
    float sum = 0.f;
    for (int line = down.first; line <= down.last; ++line) {
        float share = 1.f;
        if (line == down.first) share -= down.before;
        if (line == down.last) share -= down.after;
        sum += share * covered_line(source + (long long)line * pitch, step, across);
    }
    float width = (float)(across.last - across.first + 1) - across.before - across.after;
    float height = (float)(down.last - down.first + 1) - down.before - down.after;
    return min(__float2int_rn(sum / (width * height)), 255);
}
