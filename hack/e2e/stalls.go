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

package e2e

import (
	"context"
	"sync"
	"time"
)

const (
	// NoticeableStall is how long the machine must leave this process waiting for that to
	// be an explanation of what came late: what is measured here has a slack of 250 ms.
	NoticeableStall = 100 * time.Millisecond
	// heartbeat is how often this process looks whether it runs.
	heartbeat = 10 * time.Millisecond
)

// Stalls remembers when the machine left this process waiting that had something to do,
// and most likely others as well.
type Stalls struct {
	// mu guards found. Nothing waits while holding it.
	mu    sync.Mutex
	found []stall
}

// stall is a time in which this process did not run.
type stall struct {
	begun time.Time
	took  time.Duration
}

// WatchStalls watches until the context is done.
func WatchStalls(ctx context.Context) *Stalls {
	s := &Stalls{}
	go func() {
		for ctx.Err() == nil {
			due := time.Now().Add(heartbeat)
			time.Sleep(heartbeat)
			if late := time.Since(due); late >= NoticeableStall {
				s.add(stall{due, late})
			}
		}
	}()
	return s
}

func (s *Stalls) add(each stall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found = append(s.found, each)
}

// Longest is the longest stall since a time; 0 if there was none to speak of.
func (s *Stalls) Longest(since time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var longest time.Duration
	for _, each := range s.found {
		if each.begun.Add(each.took).After(since) {
			longest = max(longest, each.took)
		}
	}
	return longest
}
