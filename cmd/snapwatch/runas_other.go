//go:build !unix

package main

import (
	"context"
	"errors"
)

func runAs(context.Context, int, string) error { return errors.ErrUnsupported }
