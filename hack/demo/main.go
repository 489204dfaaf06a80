/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

// The demo shows Farpoint at work on a machine that has neither a cluster nor anything
// outside of one: an embedded control plane, the operator, and four little HTTP servers
// that die and come back in turn. `make demo` builds and runs it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

func main() {
	// On Linux the operator is ended with the thread that started it, see operatorAttributes.
	runtime.LockOSThread()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run() error {
	limit, err := limitFrom(os.Getenv("DEMO_SECONDS"))
	if err != nil {
		return err
	}
	// SIGPIPE as well, or `make demo | head` would leave a control plane behind.
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer release()
	err = play(ctx, newScreen(os.Stdout), limit)
	if ctx.Err() != nil {
		return nil // whoever ends it gets no error for what was cut short
	}
	return err
}

// limitFrom reads DEMO_SECONDS. Zero means that the demo does not end by itself.
func limitFrom(text string) (time.Duration, error) {
	const longest = 24 * 60 * 60
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 1 || seconds > longest {
		return 0, fmt.Errorf("DEMO_SECONDS=%s: give a whole number of seconds from 1 to %d, or leave it out to run until Ctrl-C", text, longest)
	}
	return time.Duration(seconds) * time.Second, nil
}
