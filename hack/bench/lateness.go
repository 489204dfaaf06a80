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

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	"farpoint.dev/farpoint/probes"
)

// measureLateness finds how long after its due time each probe of a target that answers
// begins. The due times are those of the grid that [probes.Scheduler] describes; that a
// probe has begun is seen by a prober around the real one.
func measureLateness(t task, begin func()) (figures, error) {
	seen := &starts{late: make([]time.Duration, int(2*t.rate()*(t.Warm+t.For).Seconds()))}
	engine, err := t.newScheduler(func(index int, made *probes.Target) {
		made.Prober = &timedProber{
			Prober: made.Prober, seen: seen, ignored: t.isBlackHoled(index), interval: t.Interval,
			phase: time.Duration(binary.BigEndian.Uint64(made.Identity[:8]) % uint64(t.Interval)),
		}
	})
	if err != nil {
		return nil, err
	}
	stop := run(engine)
	time.Sleep(t.Warm)
	begin()
	from := seen.count.Load()
	elapsed, cpu, err := during(func() { time.Sleep(t.For) })
	to, failed := seen.count.Load(), seen.failed.Load() // before those under way are given up
	if err := errors.Join(err, stop()); err != nil {
		return nil, err
	}
	if to > int64(len(seen.late)) {
		return nil, errors.New("far more probes than were due")
	}
	late := seen.late[from:to]
	found := paced(elapsed, cpu, failed)
	found["begun"] = float64(len(late))
	for name, percent := range map[string]float64{"p50_ms": 50, "p99_ms": 99, "max_ms": 100} {
		found[name] = milliseconds(percentile(late, percent))
	}
	return found, nil
}

// starts are the begun probes of targets that answer.
type starts struct {
	count, failed atomic.Int64
	late          []time.Duration
}

// timedProber notes when its probes begin.
type timedProber struct {
	probes.Prober
	seen            *starts
	ignored         bool
	interval, phase time.Duration
}

// Probe implements probes.Prober.
func (p *timedProber) Probe(ctx context.Context) probes.Result {
	if p.ignored {
		return p.Prober.Probe(ctx)
	}
	late := (time.Duration(time.Now().UnixNano()) - p.phase) % p.interval
	if late > p.interval*9/10 {
		late -= p.interval // it has begun a little early
	}
	if place := p.seen.count.Add(1) - 1; place < int64(len(p.seen.late)) {
		p.seen.late[place] = late
	}
	result := p.Prober.Probe(ctx)
	if result.Outcome != probes.Success {
		p.seen.failed.Add(1)
	}
	return result
}
