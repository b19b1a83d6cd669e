//go:build !unix

package main

import (
	"context"
	"errors"
	"io"
)

func runAs(context.Context, int, string) error { return errors.ErrUnsupported }

func runAsTo(context.Context, int, string, []string, io.Writer) error { return errors.ErrUnsupported }
