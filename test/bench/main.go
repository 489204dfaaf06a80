//go:build linux

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

// The bench measures what Farpoint costs and how fast it is, on the loopback: its probe
// engine beside net/http and beside bare system calls, and the whole operator beside a
// control plane of its own. `make bench` builds and runs it.
//
// Nothing of the machine is changed. The limit of open files is raised to the hard one,
// by Go itself, in each process. Ports do not run out, whatever
// net.ipv4.ip_local_port_range says: the targets have thousands of addresses, with a
// range of ports to each, and are the first to close, so that TIME_WAIT stays with them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"farpoint.dev/farpoint/test/bench/cost"
	"farpoint.dev/farpoint/test/bench/report"
	"farpoint.dev/farpoint/test/bench/scale"
	"farpoint.dev/farpoint/test/bench/targets"
)

// longest bounds a run: on a slow machine, publishing 50,000 endpoints takes most of it.
const longest = 20 * time.Minute

func main() {
	// What is started with Pdeathsig is ended with the thread that started it.
	runtime.LockOSThread()
	if err := dispatch(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// dispatch tells the bench from the processes that it starts from its own binary.
func dispatch(arguments []string) error {
	switch {
	case len(arguments) == 1 && arguments[0] == "targets":
		return targets.Serve()
	case len(arguments) == 2 && arguments[0] == "task":
		return cost.RunTask(arguments[1])
	case len(arguments) > 0:
		return errors.New("the bench takes no arguments: set BENCH_SHORT=1, BENCH_STRICT=1 or BENCH_ONLY=cost")
	}
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer release()
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	return bench(ctx, options{
		short:  os.Getenv("BENCH_SHORT") == "1",
		strict: os.Getenv("BENCH_STRICT") == "1",
		only:   os.Getenv("BENCH_ONLY"),
	})
}

// options are set by the environment.
type options struct {
	// short takes less than two minutes, and leaves out what needs the full scale.
	short bool
	// strict makes a figure above its limit an error.
	strict bool
	// only is "cost" or "scale", for one part without the other.
	only string
}

func bench(ctx context.Context, o options) (err error) {
	known, err := targets.Start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, known.Stop()) }()
	start, report := time.Now(), report.New()
	progress := func(what string) {
		fmt.Fprintf(os.Stderr, "bench: %3.0fs %s\n", time.Since(start).Seconds(), what)
	}
	if err := errors.Join(cost.AddAllocations(report), cost.AddSize(report)); err != nil {
		return err
	}
	var failure error
	if o.only != "scale" {
		if err := cost.Measure(ctx, known, o.short, report, progress); err != nil {
			return err
		}
	}
	if o.only != "cost" {
		failure = scale.Measure(ctx, known, o.short, report, progress)
	}
	// What has been found is shown also if the rest could not be.
	if err := errors.Join(report.Print(os.Stdout), report.Write("dist/bench.json"), failure); err != nil {
		return err
	}
	if over := report.Over(); o.strict && len(over) > 0 {
		return errors.New(strings.Join(over, "; "))
	}
	return nil
}
