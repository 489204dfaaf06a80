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
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/protocol"
	"farpoint.dev/farpoint/probes/scheduler"
	"farpoint.dev/farpoint/test/bench/targets"
)

// newScheduler returns the engine with all targets of the task. Each is taken to be what
// it is from the start, so that probing is steady at once.
func (t task) newScheduler(options scheduler.Options) (*scheduler.Scheduler, error) {
	options.Notify = func(probes.Owner) {}
	engine := scheduler.New(options)
	known := registry()
	for first := 0; first < t.Targets; first += targets.PerOwner {
		var list []scheduler.Target
		for index := first; index < min(first+targets.PerOwner, t.Targets); index++ {
			target, err := t.target(known, index)
			if err != nil {
				return nil, err
			}
			list = append(list, target)
		}
		engine.Set(owner(first/targets.PerOwner), list)
	}
	return engine, t.addGreedy(engine, known)
}

// addGreedy gives one namespace more handshakes to make than there is CPU for.
func (t task) addGreedy(engine *scheduler.Scheduler, known protocol.Registry) error {
	greedy := task{Scheme: "https", Places: t.GreedyPlaces, Interval: 500 * time.Millisecond}
	var list []scheduler.Target
	for index := range t.Greedy {
		target, err := greedy.target(known, t.Targets+index)
		if err != nil {
			return err
		}
		list = append(list, target)
	}
	engine.Set(probes.Owner{Namespace: "greedy", Name: "crowd"}, list)
	return nil
}

// owner spreads the owners over a hundred namespaces, which have limits of their own.
func owner(index int) probes.Owner {
	return probes.Owner{Namespace: "bench-" + strconv.Itoa(index%100), Name: "owner-" + strconv.Itoa(index)}
}

func (t task) isBlackHoled(index int) bool { return index%100 < t.BlackHoled }

func (t task) target(known protocol.Registry, index int) (scheduler.Target, error) {
	def := t.definition(index)
	initial := health.New(health.StateHealthy)
	switch {
	case t.isBlackHoled(index):
		def.URL = t.Places.URL("black hole", index)
		initial = health.New(health.StateUnhealthy)
	case t.Unseeded:
		initial = health.Health{}
	}
	prober, err := known.New(def)
	return scheduler.Target{
		Key:        targets.Address(index),
		Identity:   targets.Identity(index),
		Prober:     prober,
		Timing:     scheduler.Timing{Interval: t.Interval, FastInterval: min(t.Interval, time.Second), Timeout: probeTimeout},
		Thresholds: health.Thresholds{Failure: 3, Success: 2},
		Initial:    initial,
	}, err
}

// measurePacedEngine lets the engine probe all targets at their interval. The targets
// count the probes, so that nothing stands between the scheduler and its probers.
func measurePacedEngine(t task, begin func()) (figures, error) {
	engine, err := t.newScheduler(scheduler.Options{})
	if err != nil {
		return nil, err
	}
	stop := run(engine)
	time.Sleep(t.Warm)
	begin()
	elapsed, cpu, err := during(func() { time.Sleep(t.For) })
	doubtful := t.doubtful(engine)
	return total(elapsed, cpu, doubtful), errors.Join(err, stop())
}

// run starts the engine. stop returns once its last probe has ended.
func run(engine *scheduler.Scheduler) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- engine.Start(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}

// doubtful counts the targets that are not plainly what they should be.
func (t task) doubtful(engine *scheduler.Scheduler) int64 {
	var count int64
	for first := 0; first < t.Targets; first += targets.PerOwner {
		known := engine.Health(owner(first / targets.PerOwner))
		for index := first; index < min(first+targets.PerOwner, t.Targets); index++ {
			current := known[targets.Address(index)]
			if (current.State == health.StateHealthy) == t.isBlackHoled(index) || current.Pending() {
				count++
			}
		}
	}
	return count
}

// measurePacedNetHTTP paces probes as kubelet does: a goroutine and a ticker per target.
func measurePacedNetHTTP(t task, begin func()) (figures, error) {
	client, err := t.client()
	if err != nil {
		return nil, err
	}
	var failed atomic.Int64
	var all sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	for index := range t.Targets {
		all.Go(func() {
			after := t.Interval * time.Duration(index) / time.Duration(t.Targets)
			failed.Add(tick(ctx, client, t.Places.URL(t.Scheme, index), after, t.Interval))
		})
	}
	time.Sleep(t.Warm)
	begin()
	elapsed, cpu, err := during(func() { time.Sleep(t.For) })
	stop()
	all.Wait()
	return total(elapsed, cpu, failed.Load()), err
}

// tick probes one target until the context is done, and returns how often that failed.
func tick(ctx context.Context, client *http.Client, url string, after, interval time.Duration) (failed int64) {
	time.Sleep(after)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if probeByNetHTTP(ctx, client, url) != nil && ctx.Err() == nil {
			failed++
		}
		select {
		case <-ctx.Done():
			return failed
		case <-ticker.C:
		}
	}
}

// total is what the process used. How many probes it was for, the targets know.
func total(elapsed, cpu time.Duration, failed int64) figures {
	return figures{
		"failed": float64(failed), "seconds": elapsed.Seconds(),
		"cores": cpu.Seconds() / elapsed.Seconds(), "cpu_total_us": float64(cpu.Microseconds()),
	}
}

// checkPace returns an error if the probes did not keep their pace, which makes their
// cost mean nothing.
func checkPace(t task, result figures) error {
	rate := result["answered"] / result["seconds"]
	if rate < 0.97*t.rate() || rate > 1.03*t.rate() {
		return fmt.Errorf("%s: %.0f probes/s were asked for and %.0f made", t.Kind, t.rate(), rate)
	}
	return nil
}
