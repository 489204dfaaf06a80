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

package cpulimit

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Turns go round the namespaces, and within one to those who have begun.
func TestTurnsToCompute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(1)
		c.Acquire(t.Context(), "first", false)
		order := make(chan string, 10)
		for _, other := range []struct {
			name, namespace string
			resumed         bool
		}{{"a1", "a", false}, {"a2", "a", false}, {"a3, begun", "a", true}, {"b1", "b", false}, {"b2", "b", false}, {"c1", "c", false}} {
			go func() {
				c.Acquire(t.Context(), other.namespace, other.resumed)
				order <- other.name
			}()
			synctest.Wait() // they come one after the other
		}
		var got []string
		for range 6 {
			c.Release()
			got = append(got, <-order)
		}
		if want := []string{"a3, begun", "b1", "c1", "a1", "b2", "a2"}; !slices.Equal(got, want) {
			t.Errorf("the slots went to %q, want %q", got, want)
		}
	})
}

// However slots are released, and however many probes give up waiting, none is lost or doubled.
func TestNoTurnIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 3
		c := New(most)
		var all sync.WaitGroup
		var mu sync.Mutex
		compute, atOnce, gaveUp := 0, 0, 0
		count := func(by int) {
			mu.Lock()
			defer mu.Unlock()
			compute += by
			atOnce = max(atOnce, compute)
		}
		for i := range 2000 {
			all.Go(func() {
				time.Sleep(rand.N(time.Second))
				ctx, cancel := context.WithTimeout(t.Context(), rand.N(20*time.Millisecond))
				defer cancel()
				for slot := range 3 {
					if !c.Acquire(ctx, []string{"a", "b", "c"}[i%3], slot > 0) {
						mu.Lock()
						gaveUp++
						mu.Unlock()
						return
					}
					count(1)
					time.Sleep(rand.N(2 * time.Millisecond))
					count(-1)
					c.Release()
				}
			})
		}
		all.Wait()
		if atOnce != most || gaveUp == 0 {
			t.Errorf("%d computed at one time, want %d; %d gave up", atOnce, most, gaveUp)
		}
		if c.free != most || len(c.queues) != 0 || len(c.order) != 0 {
			t.Errorf("%d slots are free finally, %d queues are left", c.free, len(c.queues))
		}
	})
}
