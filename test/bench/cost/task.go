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

package cost

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"farpoint.dev/farpoint/test/bench/targets"
)

// figures are what a measurement found, by name.
type figures map[string]float64

// task is a measurement to be made in a process of its own, so that no garbage, no pool
// and no thread of another one is in it.
type task struct {
	// Kind is one of the measurements below.
	Kind   string
	Places targets.Places
	// Scheme of the probes.
	Scheme string
	// Targets is their number, BlackHoled how many percent of them never answer.
	Targets, BlackHoled int
	// Greedy is how many targets another namespace has beside, by https and every half
	// second, and GreedyPlaces where they are.
	Greedy       int
	GreedyPlaces targets.Places
	// Unseeded: nothing is known of the targets at first.
	Unseeded bool
	// Interval is that of each target, if the probes are paced.
	Interval time.Duration
	// Warm is the time before the measurement, For that of the measurement itself.
	Warm, For time.Duration
}

// rate is how many probes of targets that answer are due in a second.
func (t task) rate() float64 {
	return float64(t.Targets*(100-t.BlackHoled)) / 100 / t.Interval.Seconds()
}

// measurements are what a child process can do. Each calls begin when its warming up is
// over.
var measurements = map[string]func(t task, begin func()) (figures, error){
	"engine, saturated":   measureSaturatedEngine,
	"probers, saturated":  measureSaturatedProbers,
	"net/http, saturated": measureSaturatedNetHTTP,
	"floor, saturated":    measureBlockingFloor,
	"epoll, saturated":    measureEpollFloor,
	"epoll, paced":        measureEpollFloor,
	"engine, paced":       measurePacedEngine,
	"net/http, paced":     measurePacedNetHTTP,
	"timer, paced":        measureTimerFloor,
	"engine's bytes":      measureEngineBytes,
}

// RunTask is the child's side.
func RunTask(encoded string) error {
	var t task
	if err := json.Unmarshal([]byte(encoded), &t); err != nil {
		return err
	}
	measure, ok := measurements[t.Kind]
	if !ok {
		return fmt.Errorf("no measurement %q", t.Kind)
	}
	result, err := measure(t, func() { fmt.Println("begin") })
	if err != nil {
		return fmt.Errorf("%s: %w", t.Kind, err)
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// measure carries out a task in a child process, and counts from outside how many of its
// probes were answered in the meantime.
func measure(ctx context.Context, t *targets.Process, work task) (figures, error) {
	work.Places = t.Places
	if work.Greedy > 0 { // in a process of their own, whose load is not the others'
		greedy, err := targets.Start(ctx)
		if err != nil {
			return nil, err
		}
		defer greedy.Stop() //nolint:errcheck // it has served its purpose
		work.GreedyPlaces = greedy.Places
	}
	encoded, err := json.Marshal(work)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute+work.Warm+work.For)
	defer cancel()
	command := exec.CommandContext(ctx, os.Args[0], "task", string(encoded))
	command.Stderr = os.Stderr
	if work.Kind == "floor, saturated" {
		// It must not be interrupted by the runtime's signals, see there.
		command.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1")
	}
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	result, err := follow(bufio.NewReader(stdout), t, work)
	if err != nil {
		cancel()
	}
	return result, errors.Join(err, command.Wait())
}

// follow reads a child's output.
func follow(stdout *bufio.Reader, t *targets.Process, work task) (figures, error) {
	if line, err := stdout.ReadString('\n'); err != nil || line != "begin\n" {
		return nil, fmt.Errorf("%s: the measurement did not begin: %q %w", work.Kind, line, err)
	}
	before, err := t.Count()
	if err != nil {
		return nil, err
	}
	if work.Kind == "engine, paced" {
		if err := t.TimeArrivals(work.Interval, work.Targets); err != nil {
			return nil, err
		}
	}
	text, err := stdout.ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	after, err := t.Count()
	if err != nil {
		return nil, err
	}
	var result figures
	if err := json.Unmarshal(text, &result); err != nil {
		return nil, fmt.Errorf("%s: %q: %w", work.Kind, text, err)
	}
	result["answered"] = float64(after.HTTP + after.TCP + after.TLS - before.HTTP - before.TCP - before.TLS)
	result["p99_ms"] = after.LateP99
	return result, nil
}

// usage is the CPU, of user and system, that this process has used by a time.
type usage struct {
	at  time.Time
	cpu time.Duration
}

func usageNow() (usage, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return usage{}, fmt.Errorf("getrusage: %w", err)
	}
	return usage{time.Now(), time.Duration(r.Utime.Nano() + r.Stime.Nano())}, nil
}

// during takes what the process uses while work runs.
func during(work func()) (elapsed, cpu time.Duration, err error) {
	before, err := usageNow()
	if err != nil {
		return 0, 0, err
	}
	work()
	after, err := usageNow()
	return after.at.Sub(before.at), after.cpu - before.cpu, err
}
