// What a kernel takes from AMD, as lint reads it: once, and then from the cache.
#include <ap_axi_sdata.h>
#include <ap_fixed.h>
#include <ap_int.h>
#include <hls_stream.h>
