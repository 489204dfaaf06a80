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

package probes

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestReachedCounterAgainstOracle compares the ring with a list of all times, for what it
// reaches back to.
func TestReachedCounterAgainstOracle(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 3))
		ring, times, now := &reachedCounter{}, []time.Duration(nil), time.Duration(0)
		for range 500 {
			now += time.Duration(random.ExpFloat64() * float64(time.Second))
			if len(times) > 0 && random.IntN(3) == 0 {
				i := random.IntN(len(times))
				ring.takeBack(times[i])
				times[i] = -1
			}
			at := max(now-time.Duration(random.IntN(1000))*time.Millisecond, 1)
			ring.add(at, now)
			times = append(times, at)

			from := max(now-time.Duration(random.Int64N(int64(reachedMemory))), 0).Truncate(reachedBucket)
			to := from + time.Duration(random.Int64N(int64(now-from)+1)).Truncate(reachedBucket)
			want := 0
			for _, each := range times {
				if each >= from && each < to+reachedBucket {
					want++
				}
			}
			if got := ring.between(from, to); got != want {
				t.Fatalf("seed %d: %d from %v to %v, want %d", seed, got, from, to, want)
			}
		}
	}
}
