//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/snapwatch/snapwatch/bench/product"
)

// firstStartName is the name of a fault: the first start of a server is killed, again and again.
const firstStartName = "first-start"

// minStarts is how many first starts are interrupted even if no time is left.
const minStarts = 3

// runFirstStarts kills servers at random moments of their first start. Each next start must succeed, with an up-to-date
// schema.
func runFirstStarts(
	ctx context.Context, s settings, dir string, random *rand.Rand, deadline time.Time, result *results,
) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	began := time.Now()
	if err := startAndCheck(ctx, s, filepath.Join(dir, "whole")); err != nil {
		return fmt.Errorf("a first start without a kill: %w", err)
	}
	whole := time.Since(began)
	done := 0
	var longest time.Duration
	for ; done < s.starts && (done < minStarts || time.Until(deadline) > 0); done++ {
		data := filepath.Join(dir, fmt.Sprint(done))
		moment := rand.New(rand.NewPCG(random.Uint64(), 0)).Float64()
		after := time.Duration(moment * float64(whole))
		if err := killStart(ctx, s, data, after); err != nil {
			return err
		}
		began := time.Now()
		if err := startAndCheck(ctx, s, data); err != nil {
			return fmt.Errorf("start %d, killed after %s: %w", done, after, err)
		}
		longest = max(longest, time.Since(began))
		if err := os.RemoveAll(data); err != nil {
			return err
		}
	}
	skipped := ""
	note := fmt.Sprintf("%d were killed, and each next start succeeded within %s; %s without a kill", done,
		seconds(longest), seconds(whole))
	if done < s.starts {
		skipped = fmt.Sprintf("no time left for %d more; ", s.starts-done)
	}
	result.add(row{name: firstStartName, note: note, skipped: skipped})
	return nil
}

// killStart starts a server, and kills it after some time.
func killStart(ctx context.Context, s settings, data string, after time.Duration) error {
	if err := os.Mkdir(data, 0o755); err != nil {
		return err
	}
	cmd, err := product.Command(s.program, data, "", s.log, "--runtime-dir", data+"/runtime")
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	paused := product.Pause(ctx, after)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return paused
}

// startAndCheck starts a server, checks its schema and stops it.
func startAndCheck(ctx context.Context, s settings, data string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, giveUp)
	defer cancel()
	if err := os.Mkdir(data, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	server, err := product.StartServer(ctx, s.program, data, s.log, "--runtime-dir", data+"/runtime")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	status, err := server.Run(ctx, "migrate", "status")
	if err != nil {
		return err
	}
	if !strings.Contains(status, "The schema is up to date.") {
		return errors.New(status)
	}
	return nil
}
