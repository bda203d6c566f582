// Lets a plain C++ compiler build the kernels and run their grids on the CPU: one block after the other, the threads of a
// block as fibers that take turns at barriers. Slow, and enough to test arithmetic and indexing.
// Not here: dynamic shared memory, textures, vector intrinsics, streams. Kernels with barriers end every loop that waits on one.
#pragma once

#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __shared__ static
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)

struct dim3 { unsigned x = 1, y = 1, z = 1; };
static dim3 threadIdx, blockIdx, blockDim, gridDim;
static const int warpSize = 32;

#define SHIM_VECTOR(type, name)                                            \
    struct alignas(2 * sizeof(type)) name##2 { type x, y; };               \
    struct name##3 { type x, y, z; };                                      \
    struct alignas(4 * sizeof(type)) name##4 { type x, y, z, w; };         \
    static inline name##2 make_##name##2(type x, type y) { return {x, y}; } \
    static inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; } \
    static inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
SHIM_VECTOR(float, float)
SHIM_VECTOR(int, int)
SHIM_VECTOR(unsigned, uint)
SHIM_VECTOR(unsigned short, ushort)
SHIM_VECTOR(unsigned char, uchar)

// --- arithmetic ---
using std::max;
using std::min;
template <class T> static inline T __ldg(const T* p) { return *p; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline float __saturatef(float a) { return a > 0 ? (a < 1 ? a : 1.f) : 0.f; }
#define __expf expf  // glibc has names like these of its own
#define __logf logf
static inline int __float2int_rn(float a) { return (int)lrintf(a); }
static inline int __float2int_rd(float a) { return (int)floorf(a); }
static inline int __float2int_rz(float a) { return (int)a; }
static inline int __double2int_rn(double a) { return (int)lrint(a); }
static inline float __double2float_rn(double a) { return (float)a; }
static inline float __int2float_rn(int a) { return (float)a; }
template <class To, class From> static inline To shim_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "sizes differ");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
static inline int __float_as_int(float a) { return shim_bits<int>(a); }
static inline unsigned __float_as_uint(float a) { return shim_bits<unsigned>(a); }
static inline float __int_as_float(int a) { return shim_bits<float>(a); }
static inline float __uint_as_float(unsigned a) { return shim_bits<float>(a); }
static inline int __popc(unsigned a) { return __builtin_popcount(a); }
static inline int __ffs(int a) { return __builtin_ffs(a); }
static inline int __clz(int a) { return a ? __builtin_clz((unsigned)a) : 32; }
static inline int __popcll(unsigned long long a) { return __builtin_popcountll(a); }
static inline int __ffsll(long long a) { return __builtin_ffsll(a); }

static inline float float_of(unsigned short bits) {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float sign = bits & 0x8000 ? -1.f : 1.f;
    if (exponent == 31) return fraction ? NAN : sign * INFINITY;
    if (exponent == 0) return sign * ldexpf((float)fraction, -24);
    return sign * ldexpf((float)(1024 + fraction), exponent - 25);
}
static inline unsigned short half_of(float value) {
    unsigned sign = signbit(value) ? 0x8000u : 0u;
    float size = fabsf(value);
    if (isnan(value)) return 0x7fff;
    if (size >= 65520.f) return (unsigned short)(sign | 0x7c00u);
    if (size < ldexpf(1.f, -14)) return (unsigned short)(sign | (unsigned)lrintf(ldexpf(size, 24)));
    int exponent;
    float fraction = frexpf(size, &exponent);  // 0.5 to 1
    unsigned rounded = (unsigned)lrintf(ldexpf(fraction, 11));  // 1024 to 2048; a carry goes into the exponent
    return (unsigned short)(sign | (((unsigned)(exponent + 14) << 10) + rounded - 1024));
}

// --- atomics: fibers never interrupt each other ---
template <class T, class V> static inline T atomicAdd(T* p, V v) { T old = *p; *p = (T)(old + v); return old; }
template <class T, class V> static inline T atomicSub(T* p, V v) { T old = *p; *p = (T)(old - v); return old; }
template <class T, class V> static inline T atomicMax(T* p, V v) { T old = *p; if ((T)v > old) *p = (T)v; return old; }
template <class T, class V> static inline T atomicMin(T* p, V v) { T old = *p; if ((T)v < old) *p = (T)v; return old; }
template <class T, class V> static inline T atomicOr(T* p, V v) { T old = *p; *p = (T)(old | v); return old; }
template <class T, class V> static inline T atomicAnd(T* p, V v) { T old = *p; *p = (T)(old & v); return old; }
template <class T, class V> static inline T atomicExch(T* p, V v) { T old = *p; *p = (T)v; return old; }
template <class T, class C, class V> static inline T atomicCAS(T* p, C c, V v) {
    T old = *p;
    if (old == (T)c) *p = (T)v;
    return old;
}
static inline void __threadfence() {}
static inline void __threadfence_block() {}

// --- threads of a block as fibers ---
namespace shim {
constexpr size_t kStack = 128 << 10;
constexpr unsigned kMostThreads = 1024;

struct Barrier { unsigned arrived = 0, generation = 0; unsigned long long tally = 0, result = 0; };
struct Fiber { ucontext_t context; dim3 index; bool done; Barrier* at; unsigned generation; };

static Fiber fibers[kMostThreads];
static ucontext_t scheduler;
static unsigned count, alive, current;
static bool fibers_run;
static Barrier block;
static Barrier warps[kMostThreads / 32][32];  // by warp and the lowest lane that takes part
static unsigned long long lanes[kMostThreads];
static void (*body)(void*);
static void* body_argument;

static inline void fail(const char* what) { fprintf(stderr, "cuda_shim: %s\n", what); abort(); }

// Waits until `wanted` threads have come here; returns the sum of what they brought.
static inline unsigned long long wait(Barrier& barrier, unsigned wanted, unsigned long long brought = 0) {
    if (!fibers_run) fail("a barrier in a kernel that was launched without barriers");
    barrier.tally += brought;
    if (++barrier.arrived >= wanted) {
        barrier.arrived = 0;
        barrier.result = barrier.tally;
        barrier.tally = 0;
        ++barrier.generation;
        return barrier.result;
    }
    Fiber& self = fibers[current];
    self.at = &barrier;
    self.generation = barrier.generation;
    swapcontext(&self.context, &scheduler);
    return barrier.result;
}

static inline unsigned warp_size_of(unsigned warp) { return std::min(32u, count - warp * 32); }
static inline void wait_warp(unsigned mask) {
    unsigned warp = current / 32, whole = warp_size_of(warp) == 32 ? ~0u : (1u << warp_size_of(warp)) - 1;
    mask &= whole;
    if (!(mask >> (current % 32) & 1)) fail("a thread calls a warp function with a mask that leaves it out");
    wait(warps[warp][__builtin_ctz(mask)], (unsigned)__builtin_popcount(mask));
}
template <class T> static inline T exchange(unsigned mask, T value, unsigned lane) {
    static_assert(sizeof(T) <= 8, "a lane exchanges 8 bytes at most");
    lanes[current] = 0;
    memcpy(&lanes[current], &value, sizeof value);
    wait_warp(mask);
    T result;
    memcpy(&result, &lanes[current / 32 * 32 + lane], sizeof result);
    wait_warp(mask);
    return result;
}

static void enter() {
    body(body_argument);
    fibers[current].done = true;
    --alive;
    swapcontext(&fibers[current].context, &scheduler);
}

static inline void run_block_as_fibers() {
    static char* stacks = nullptr;
    if (!stacks) {
        stacks = (char*)mmap(nullptr, kStack * kMostThreads, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stacks == MAP_FAILED) fail("no memory for stacks");
    }
    block = Barrier();
    memset(warps, 0, sizeof warps);
    alive = count;
    for (unsigned i = 0; i < count; ++i) {
        Fiber& fiber = fibers[i];
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = stacks + i * kStack;
        fiber.context.uc_stack.ss_size = kStack;
        fiber.context.uc_link = nullptr;
        fiber.done = false;
        fiber.at = nullptr;
        fiber.index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
        makecontext(&fiber.context, enter, 0);
    }
    while (alive) {
        bool moved = false;
        // Backwards: a kernel that forgets a barrier must not come out right because thread 0 always runs first.
        for (unsigned i = count; i-- > 0;) {
            Fiber& fiber = fibers[i];
            if (fiber.done || (fiber.at && fiber.at->generation == fiber.generation)) continue;
            fiber.at = nullptr;
            moved = true;
            current = i;
            threadIdx = fiber.index;
            swapcontext(&scheduler, &fiber.context);
            // A thread that has ended counts as arrived at the block's barrier, as on a GPU.
            if (alive && block.arrived && block.arrived >= alive) {
                block.arrived = 0;
                block.result = block.tally;
                block.tally = 0;
                ++block.generation;
            }
        }
        if (!moved) fail("deadlock: not every thread reaches a barrier");
    }
}

template <class... A, size_t... I>
static void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*(typename std::decay<A>::type*)arguments[I]...);
}

// As cuLaunchKernel: `arguments` points to the address of each parameter's value.
template <class... A>
static void launch(void (*kernel)(A...), const unsigned* grid, const unsigned* threads, void** arguments, int barriers) {
    struct Call { void (*kernel)(A...); void** arguments; } one = {kernel, arguments};
    body_argument = &one;
    body = [](void* argument) {
        Call* self = (Call*)argument;
        call(self->kernel, self->arguments, std::index_sequence_for<A...>());
    };
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {threads[0], threads[1], threads[2]};
    count = blockDim.x * blockDim.y * blockDim.z;
    if (count > kMostThreads) fail("more than 1024 threads in a block");
    fibers_run = barriers != 0;
    for (unsigned z = 0; z < gridDim.z; ++z)
        for (unsigned y = 0; y < gridDim.y; ++y)
            for (unsigned x = 0; x < gridDim.x; ++x) {
                blockIdx = {x, y, z};
                if (fibers_run) {
                    run_block_as_fibers();
                    continue;
                }
                for (unsigned i = 0; i < count; ++i) {
                    threadIdx = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
                    body(body_argument);
                }
            }
}
}  // namespace shim

static inline void __syncthreads() { shim::wait(shim::block, shim::alive); }
static inline int __syncthreads_count(int p) { return (int)shim::wait(shim::block, shim::alive, p ? 1 : 0); }
static inline int __syncthreads_or(int p) { return __syncthreads_count(p) > 0; }
static inline int __syncthreads_and(int p) { return __syncthreads_count(!p) == 0; }
static inline void __syncwarp(unsigned mask = ~0u) { shim::wait_warp(mask); }
static inline unsigned __ballot_sync(unsigned mask, int predicate) {
    unsigned result = 0, lane = shim::current % 32;
    shim::lanes[shim::current] = predicate != 0;
    shim::wait_warp(mask);
    for (unsigned i = 0; i < shim::warp_size_of(shim::current / 32); ++i)
        if (mask >> i & 1) result |= (unsigned)shim::lanes[shim::current - lane + i] << i;
    shim::wait_warp(mask);
    return result;
}
static inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
static inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }
template <class T> static inline T __shfl_sync(unsigned mask, T value, int lane, int width = 32) {
    int self = (int)(shim::current % 32);
    return shim::exchange(mask, value, (unsigned)(self / width * width + (lane & (width - 1))));
}
template <class T> static inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
    int self = (int)(shim::current % 32), from = self ^ bits;
    return shim::exchange(mask, value, (unsigned)(from / width <= self / width ? from : self));
}
template <class T> static inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
    int self = (int)(shim::current % 32), from = self + (int)by;
    return shim::exchange(mask, value, (unsigned)(from / width == self / width ? from : self));
}
template <class T> static inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
    int self = (int)(shim::current % 32), from = self - (int)by;
    return shim::exchange(mask, value, (unsigned)(from >= self / width * width ? from : self));
}

// One for each kernel: launch_<name>(grid, threads, arguments, barriers).
#define SHIM_EXPORT(name)                                                                                        \
    extern "C" void launch_##name(const unsigned* grid, const unsigned* threads, void** arguments, int barriers) { \
        shim::launch(name, grid, threads, arguments, barriers);                                                  \
    }
