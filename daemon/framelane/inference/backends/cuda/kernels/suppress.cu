// From candidates to each image's result: the strongest, sorted, suppressed per class, in source pixels. One block per image.
// The same as models/heads/nms.py (cv2.dnn.NMSBoxesBatched), models/heads/rotated_nms.py and Letterbox.to_source.
#include "candidates.h"
#include "picture.h"

#define SUPPRESS_THREADS 512
#define SUPPRESS_COMPARED 4096  // the same as models/heads/nms.py
#define SUPPRESS_ROTATED 1024   // the same as models/heads/rotated_nms.py
#define SUPPRESS_WORDS (SUPPRESS_COMPARED / 32)
#define SUPPRESS_NONE (~0ull)   // sorts behind every key, because no anchor has this number

// How boxes of one object are told: they do not overlap, or by intersection over union, or by ProbIoU.
enum { kNever, kUpright, kRotated };

// A rotated box as a Gaussian distribution: its center, its covariance [[a, c], [c, b]], and the determinant of that.
struct Gaussian {
    double x, y, a, b, c, own;
};

// The greatest of the `compared` least keys, if `key` has more than that: radix select, one byte at a time.
__device__ __forceinline__ unsigned long long suppress_limit(const unsigned long long* key, int count, int compared) {
    __shared__ int tally[256];
    __shared__ unsigned long long chosen;
    __shared__ int left, whole;
    if (threadIdx.x == 0) {
        chosen = 0;
        left = compared;
        whole = 0;
    }
    for (int shift = 56; shift >= 0; shift -= 8) {
        for (int digit = threadIdx.x; digit < 256; digit += SUPPRESS_THREADS) tally[digit] = 0;
        __syncthreads();
        unsigned long long prefix = chosen;
        for (int at = threadIdx.x; at < count; at += SUPPRESS_THREADS) {
            unsigned long long one = key[at];
            if ((one ^ prefix) >> shift >> 8 == 0) atomicAdd(&tally[one >> shift & 255], 1);
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            int digit = 0;
            while (tally[digit] < left) left -= tally[digit++];
            chosen = prefix | (unsigned long long)digit << shift;
            whole = tally[digit] == left;
        }
        __syncthreads();
        // All keys with this prefix are included.
        if (whole) return chosen | ((1ull << shift) - 1);
    }
    return chosen;
}

// Sorts ascending, in place; `size` is a power of two. All threads must call it.
__device__ __forceinline__ void suppress_sort(unsigned long long* key, int size) {
    for (int run = 2; run <= size; run *= 2) {
        for (int apart = run / 2; apart > 0; apart /= 2) {
            for (int pair = threadIdx.x; pair < size / 2; pair += SUPPRESS_THREADS) {
                int low = pair / apart * apart * 2 + pair % apart, high = low + apart;
                unsigned long long one = key[low], other = key[high];
                if ((one > other) == ((low & run) == 0)) {
                    key[low] = other;
                    key[high] = one;
                }
            }
            __syncthreads();
        }
    }
}

// Fills `sorted` with the least keys of an image, `compared` at most and in order, and returns their number. All threads must call it.
__device__ __forceinline__ int suppress_strongest(const unsigned long long* key, int found, int compared, unsigned long long* sorted) {
    __shared__ int taken;
    int total = min(found, compared), size = 1;
    while (size < total) size *= 2;
    unsigned long long limit = found > total ? suppress_limit(key, found, total) : SUPPRESS_NONE;
    if (threadIdx.x == 0) taken = 0;
    for (int rank = total + threadIdx.x; rank < size; rank += SUPPRESS_THREADS) sorted[rank] = SUPPRESS_NONE;
    __syncthreads();
    for (int at = threadIdx.x; at < found; at += SUPPRESS_THREADS) {
        unsigned long long one = key[at];
        if (found == total) sorted[at] = one;
        else if (one <= limit) sorted[atomicAdd(&taken, 1)] = one;
    }
    __syncthreads();
    suppress_sort(sorted, size);
    return total;
}

// The length that two spans share, from their starts and lengths, as OpenCV's intersection of two Rect2d.
__device__ __forceinline__ double suppress_shared(double start, double length, double other_start, double other_length) {
    bool before = start < other_start;
    double first = before ? start : other_start, first_length = before ? length : other_length;
    double second = before ? other_start : start, second_length = before ? other_length : length;
    double rest = first_length - (second - first);
    return second_length < rest ? second_length : rest;
}

// Whether two boxes of a class overlap by more than `iou`: OpenCV's arithmetic, in double with the last step in float.
// Few pairs reach the divisions: separate boxes are excluded in float, where no rounding turns an overlap into a gap.
__device__ __forceinline__ bool suppress_overlap(const Box& one, const Box& other, float iou) {
    float width = one.x2 - one.x1, height = one.y2 - one.y1;
    float other_width = other.x2 - other.x1, other_height = other.y2 - other.y1;
    bool tiny = width * height + other_width * other_height < 1e-12f;
    bool left = one.x1 < other.x1, above = one.y1 < other.y1;
    bool beside = (left ? other.x1 - one.x1 : one.x1 - other.x1) > (left ? width : other_width);
    bool below = (above ? other.y1 - one.y1 : one.y1 - other.y1) > (above ? height : other_height);
    if ((beside || below) && !tiny) return false;
    double area = (double)width * height, other_area = (double)other_width * other_height;
    // OpenCV treats boxes this small as equal.
    if (area + other_area <= 2.220446049250313e-16) return 1.f > iou;
    double across = suppress_shared(one.x1, width, other.x1, other_width);
    double down = suppress_shared(one.y1, height, other.y1, other_height);
    double both = across > 0 && down > 0 ? across * down : 0.;
    float overlap = 1.f - (float)(1. - both / (area + other_area - both));
    return overlap > iou;
}

__device__ __forceinline__ Gaussian suppress_gaussian(const Turned& box) {
    double along = (double)box.width * box.width / 12., across = (double)box.height * box.height / 12.;
    double cosine = cos((double)box.angle), sine = sin((double)box.angle);
    Gaussian found;
    found.x = box.x;
    found.y = box.y;
    found.a = along * (cosine * cosine) + across * (sine * sine);
    found.b = along * (sine * sine) + across * (cosine * cosine);
    found.c = (along - across) * cosine * sine;
    found.own = fmax(found.a * found.b - found.c * found.c, 0.);
    return found;
}

// Whether two rotated boxes of a class overlap by more than `iou`, by ProbIoU (arXiv 2106.06072).
__device__ __forceinline__ bool suppress_overlap(const Gaussian& one, const Gaussian& other, double iou) {
    const double least = 1e-7, farthest = 100.;
    double a = one.a + other.a, b = one.b + other.b, c = one.c + other.c;
    double apart_x = one.x - other.x, apart_y = one.y - other.y, joint = fmax(a * b - c * c, 0.);
    double distance = 0.25 * (a * (apart_y * apart_y) + b * (apart_x * apart_x)) / (joint + least);
    distance -= 0.5 * c * apart_x * apart_y / (joint + least);
    // The logarithm takes at most 8.1 off. What is left leaves no overlap above 0, and most pairs end here.
    if (distance > 25.) return false;
    distance += 0.5 * log(joint / (4. * sqrt(one.own * other.own) + least) + least);
    distance = distance < least ? least : distance > farthest ? farthest : distance;
    return 1. - sqrt(1. - exp(-distance) + least) > iou;
}

// The first number from `from` on whose bit is set; `count` if there is none.
__device__ __forceinline__ int suppress_next(const volatile unsigned* alive, int from, int count) {
    for (int word = from / 32; word * 32 < count; ++word) {
        unsigned bits = alive[word];
        if (word == from / 32) bits &= ~0u << (from & 31);
        if (bits) return word * 32 + __ffs((int)bits) - 1;
    }
    return count;
}

// Keeps the strongest box that is left and removes those of its class that it overlaps, until `most` are kept: as many turns.
// Returns how many are kept. All threads must call it.
__device__ __forceinline__ int suppress_greedily(
    const Box* box, const int* class_id, unsigned* alive, int total, float iou, int most, unsigned short* kept) {
    int many = 0, rank = suppress_next(alive, 0, total);
    while (rank < total && many < most) {
        Box strong = box[rank];
        int strong_class = class_id[rank];
        if (threadIdx.x == 0) kept[many] = (unsigned short)rank;
        ++many;
        for (int weak = rank + 1 + threadIdx.x; weak < total; weak += SUPPRESS_THREADS)
            if (class_id[weak] == strong_class && suppress_overlap(box[weak], strong, iou))
                atomicAnd(&alive[weak / 32], ~(1u << (weak & 31)));
        __syncthreads();
        // A thread may remove boxes in its next turn while another still searches here, but only boxes behind the one both find.
        rank = suppress_next(alive, rank + 1, total);
    }
    return many;
}

// Removes each box that any stronger one of its class overlaps, kept or not, and keeps the first `most` of the others.
// Returns how many are kept. All threads must call it.
__device__ __forceinline__ int suppress_at_once(
    const Gaussian* gaussian, const int* class_id, unsigned* alive, int total, double iou, int most, unsigned short* kept) {
    for (int weak = threadIdx.x; weak < total; weak += SUPPRESS_THREADS) {
        Gaussian own = gaussian[weak];
        int strong = 0;
        while (strong < weak && !(class_id[strong] == class_id[weak] && suppress_overlap(gaussian[strong], own, iou))) ++strong;
        if (strong < weak) atomicAnd(&alive[weak / 32], ~(1u << (weak & 31)));
    }
    __syncthreads();
    int many = 0;
    for (int rank = suppress_next(alive, 0, total); rank < total && many < most; rank = suppress_next(alive, rank + 1, total)) {
        if (threadIdx.x == 0) kept[many] = (unsigned short)rank;
        ++many;
    }
    return many;
}

__device__ __forceinline__ float suppress_back(float value, const Picture& picture, int axis) {
    float source = (value - (float)picture.pad_xy[axis]) * picture.factor[axis] + picture.origin[axis];
    return fminf(fmaxf(source, picture.origin[axis]), picture.limit[axis]);
}

// Results [batch, 1 + 6 * max_det]: the count, then x1 y1 x2 y2 confidence class of each box, best first; the rest is not written.
// strongest_box and strongest_class [batch, 4096] are scratch memory, and for rotated boxes gaussian [batch, 1024]. Unless it is
// null, kept_anchor [batch, max_det] tells which predictions the boxes are.
extern "C" __global__ void __launch_bounds__(SUPPRESS_THREADS) framelane_suppress(
    const unsigned long long* key, const Box* box, const int* class_id, const int* count, const Turned* turned, int anchors,
    const Picture* table, const int* live, Box* strongest_box, int* strongest_class, Gaussian* gaussian, int overlap, double iou,
    int max_det, float* result, int* kept_anchor) {
    __shared__ unsigned long long sorted[SUPPRESS_COMPARED];
    __shared__ unsigned short kept[SUPPRESS_COMPARED];
    __shared__ unsigned alive[SUPPRESS_WORDS];
    int image = blockIdx.x;
    result += (long long)image * (1 + 6 * max_det);
    if (image >= *live) {
        if (threadIdx.x == 0) result[0] = 0;
        return;
    }
    long long row = (long long)image * anchors;
    strongest_box += (long long)image * SUPPRESS_COMPARED;
    strongest_class += (long long)image * SUPPRESS_COMPARED;
    gaussian += (long long)image * SUPPRESS_ROTATED;

    int compared = overlap == kRotated ? SUPPRESS_ROTATED : SUPPRESS_COMPARED;
    int total = suppress_strongest(key + row, min(count[image], anchors), compared, sorted);
    for (int rank = threadIdx.x; rank < total; rank += SUPPRESS_THREADS) {
        long long anchor = row + anchor_of(sorted[rank]);
        strongest_box[rank] = box[anchor];
        strongest_class[rank] = class_id[anchor];
        if (overlap == kRotated) gaussian[rank] = suppress_gaussian(turned[anchor]);
    }
    for (int word = threadIdx.x; word * 32 < total; word += SUPPRESS_THREADS)
        alive[word] = total - word * 32 >= 32 ? ~0u : (1u << (total - word * 32)) - 1;
    __syncthreads();

    int many = min(total, max_det);
    if (overlap == kUpright) many = suppress_greedily(strongest_box, strongest_class, alive, total, (float)iou, max_det, kept);
    if (overlap == kRotated) many = suppress_at_once(gaussian, strongest_class, alive, total, iou, max_det, kept);
    __syncthreads();

    const Picture& picture = table[image];
    for (int number = threadIdx.x; number < many; number += SUPPRESS_THREADS) {
        int from = overlap == kNever ? number : kept[number];
        Box found_box = strongest_box[from];
        float* values = result + 1 + 6 * number;
        values[0] = suppress_back(found_box.x1, picture, 0);
        values[1] = suppress_back(found_box.y1, picture, 1);
        values[2] = suppress_back(found_box.x2, picture, 0);
        values[3] = suppress_back(found_box.y2, picture, 1);
        values[4] = confidence_of(sorted[from]);
        values[5] = (float)strongest_class[from];
        if (kept_anchor) kept_anchor[(long long)image * max_det + number] = anchor_of(sorted[from]);
    }
    if (threadIdx.x == 0) result[0] = (float)many;
}
