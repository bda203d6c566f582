// One row of a batch's table: where an image's planes are, and how to convert them. The same as PICTURE in plane_table.py.
#pragma once

struct Picture {
    unsigned long long plane[3];  // device addresses of Y, U, V (G, B, R); interleaved chroma: Y, UV, and UV + one sample
    double luma_ratio[2];         // source samples per output pixel, across and down
    double chroma_ratio[2];
    int pitch[3];                 // bytes from line to line
    int sample_bytes;             // 1 or 2
    float sample_scale;           // factor from a two-byte sample to the 8-bit scale
    int chroma_step;              // samples from one U to the next: 1 planar, 2 interleaved
    int luma_wh[2];               // samples of the cropped planes
    int chroma_wh[2];
    int new_wh[2];                // size inside the model's input
    int pad_xy[2];                // padding on the left and above
    int matrix[12];               // [3, 4]: from 8-bit samples to the model's channels, in 1024ths; the offset includes one half
    float factor[2];              // back to the source: min(max((v - pad) * factor + origin, origin), limit)
    float origin[2];
    float limit[2];
};
