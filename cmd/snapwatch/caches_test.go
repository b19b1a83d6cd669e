package main

import (
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/internal/config"
)

// The caches fit into the memory, within bounds, unless the settings say otherwise.
func TestCacheSizes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		cfg    config.Server
		memory uint64
		want   cacheSizes
	}{
		{config.Server{}, 0, cacheSizes{200_000, 200_000, 20_000}},
		{config.Server{}, 256 << 20, cacheSizes{200_000, 200_000, 20_000}},
		{config.Server{}, 2 << 30, cacheSizes{1_342_177, 1_342_177, 33_554}},
		{config.Server{}, 64 << 30, cacheSizes{10_000_000, 5_000_000, 200_000}},
		{config.Server{RunCache: 1, TextCache: 2, TokenCache: 3}, 64 << 30, cacheSizes{1, 2, 3}},
	} {
		if got, err := newCacheSizes(test.cfg, test.memory); err != nil || got != test.want {
			t.Errorf("%+v, %d bytes: %+v, %v; want %+v", test.cfg, test.memory, got, err, test.want)
		}
	}
	for _, cfg := range []config.Server{{RunCache: -1}, {TextCache: -1}, {TokenCache: 1 << 31}} {
		if _, err := newCacheSizes(cfg, 0); err == nil || !strings.Contains(err.Error(), "must be 0 to 2147483647") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	if memory := memoryLimit(); memory < 64<<20 {
		t.Errorf("this machine has %d bytes of memory", memory)
	}
}
