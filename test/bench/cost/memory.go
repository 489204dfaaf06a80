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
	"errors"
	"runtime"
	"time"

	"farpoint.dev/farpoint/probes/scheduler"
)

// measureEngineBytes finds what the engine keeps for an idle target: the scheduler's and
// the prober's memory, its key and its share of its owner. Each has been probed once, and
// is not due again before the measurement is over.
func measureEngineBytes(t task, begin func()) (figures, error) {
	runtime.GC()
	before := settledBytes()
	engine, err := t.newScheduler(scheduler.Options{})
	if err != nil {
		return nil, err
	}
	added := settledBytes()
	stop := run(engine)
	begin()
	for end := time.Now().Add(t.For); t.doubtful(engine) > 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			return nil, errors.New("not all targets were found healthy")
		}
	}
	probed := settledBytes()
	perTarget := func(bytes uint64) float64 { return float64(int64(bytes-before)) / float64(t.Targets) }
	return figures{"bytes": perTarget(probed), "bytes_before_probing": perTarget(added)}, stop()
}

// settledBytes is the memory in use once all garbage is gone, that of pools and of the
// stacks of ended goroutines included, which takes more than one collection.
func settledBytes() uint64 {
	for range 3 {
		runtime.GC()
		time.Sleep(50 * time.Millisecond)
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc + stats.StackInuse
}
