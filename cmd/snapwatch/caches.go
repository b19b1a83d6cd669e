package main

import (
	"fmt"
	"math"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/snapwatch/snapwatch/internal/config"
)

// cacheSizes are the maximum numbers of entries of the caches.
type cacheSizes struct{ runs, texts, tokens int }

// newCacheSizes returns the sizes of the settings. Those that are not set fit into the memory, in bytes. The help texts
// of the settings contain the shares and bounds.
func newCacheSizes(cfg config.Server, memory uint64) (sizes cacheSizes, err error) {
	for _, cache := range []struct {
		setting                            string
		configured                         int
		share, entryBytes, atLeast, atMost uint64
		result                             *int
	}{
		{"--run-cache", cfg.RunCache, 16, 100, 200_000, 10_000_000, &sizes.runs},
		{"--text-cache", cfg.TextCache, 32, 50, 200_000, 5_000_000, &sizes.texts},
		{"--token-cache", cfg.TokenCache, 128, 500, 20_000, 200_000, &sizes.tokens},
	} {
		if cache.configured < 0 || cache.configured > math.MaxInt32 {
			return sizes, fmt.Errorf("%s must be 0 to %d; it is %d", cache.setting, math.MaxInt32, cache.configured)
		}
		*cache.result = cache.configured
		if cache.configured == 0 {
			fitting := memory / cache.share / cache.entryBytes
			*cache.result = int(min(max(fitting, cache.atLeast), cache.atMost))
		}
	}
	return sizes, nil
}

// memoryLimit returns the memory of this machine or of the control group, whichever is smaller, in bytes. It returns 0
// if neither is known.
func memoryLimit() uint64 {
	memory, err := memlimit.FromSystem()
	if err != nil {
		memory = 0
	}
	limit, err := memlimit.FromCgroup()
	if err == nil && limit > 0 && (memory == 0 || limit < memory) {
		return limit
	}
	return memory
}
