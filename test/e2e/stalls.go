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
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// NoticeableStall is the shortest stall that can explain a late result: the bounds have a slack of
	// 250 ms.
	NoticeableStall = 100 * time.Millisecond
	// heartbeat is how often this process checks whether it runs in time.
	heartbeat = 10 * time.Millisecond
	// inspection is how often it checks other processes.
	inspection = 500 * time.Millisecond
)

// between are the programs between the death of an endpoint and the end of its traffic, by their names
// in the kernel, which have 15 characters.
var between = []string{"manager", "kube-apiserver", "etcd", "kube-proxy"}

// Stalls records when this process, or those whose work is measured, had to wait for a processor.
type Stalls struct {
	// mu guards stalls. Nothing waits while holding it.
	mu     sync.Mutex
	stalls []stall
}

// stall is a time in which a process had to wait.
type stall struct {
	ended time.Time
	took  time.Duration
}

// WatchStalls watches this process and its children until the context is done.
func WatchStalls(ctx context.Context) *Stalls {
	s := &Stalls{}
	go func() {
		for ctx.Err() == nil {
			due := time.Now().Add(heartbeat)
			time.Sleep(heartbeat)
			s.note(time.Since(due))
		}
	}()
	go func() {
		for before := waits(); ctx.Err() == nil; {
			time.Sleep(inspection)
			now := waits()
			s.note(now.since(before))
			before = now
		}
	}()
	return s
}

func (s *Stalls) note(took time.Duration) {
	if took < NoticeableStall {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stalls = append(s.stalls, stall{time.Now(), took})
}

// Longest returns the longest stall since a time; 0 if there was no noticeable one.
func (s *Stalls) Longest(since time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var longest time.Duration
	for _, stall := range s.stalls {
		if stall.ended.After(since) {
			longest = max(longest, stall.took)
		}
	}
	return longest
}

// queues has how long processes have waited for a processor so far, by folder in /proc.
type queues map[string]queue

// queue has how long each thread of a process has waited, by folder in /proc.
type queue struct {
	name    string
	threads map[string]time.Duration
}

// waits reads the queues of the child processes whose work is measured.
func waits() queues {
	result := queues{}
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		children, _ := os.ReadFile(list) // of a thread that may be gone
		for _, pid := range strings.Fields(string(children)) {
			folder := filepath.Join("/proc", pid)
			name, _ := os.ReadFile(filepath.Join(folder, "comm"))
			if name := strings.TrimSpace(string(name)); slices.Contains(between, name) {
				result[folder] = queue{name, waitsOf(folder)}
			}
		}
	}
	return result
}

// waitsOf reads the threads of a process. The second number is the time in the queue, in
// nanoseconds (Documentation/scheduler/sched-stats.rst of the kernel).
func waitsOf(folder string) map[string]time.Duration {
	times := map[string]time.Duration{}
	threads, _ := filepath.Glob(filepath.Join(folder, "task", "*", "schedstat"))
	for _, thread := range threads {
		text, _ := os.ReadFile(thread)
		if fields := strings.Fields(string(text)); len(fields) == 3 {
			if waited, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				times[thread] = time.Duration(waited)
			}
		}
	}
	return times
}

// since is for how long processes have waited since then, each counted by its thread that
// has waited longest: what is measured goes through one of each name after the other.
func (q queues) since(before queues) time.Duration {
	longest := map[string]time.Duration{}
	for process, now := range q {
		for thread, waited := range now.threads {
			if earlier, ok := before[process].threads[thread]; ok {
				longest[now.name] = max(longest[now.name], waited-earlier)
			}
		}
	}
	var sum time.Duration
	for _, wait := range longest {
		sum += wait
	}
	return sum
}
