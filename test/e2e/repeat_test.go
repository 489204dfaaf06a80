//go:build linux && e2e

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

package e2e_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"farpoint.dev/farpoint/test/e2e"
)

// stage is held by scenarios that are played: by many at a time, or by one that is repeated.
var stage sync.RWMutex

// play runs a scenario that asks for so much precision that it fails, with the best of
// operators, if the machine does not give it its time. If it fails and the machine has
// stood still meanwhile, it is played once more, with no other at the same time, and then it
// counts, however the machine does. The row says so.
func play(t *testing.T, name string, hosts int, settings e2e.Settings, story func(*scenario)) {
	t.Helper()
	playOn(t, shared(), name, hosts, settings, story)
}

// playOn is play on another ground.
func playOn(t *testing.T, at ground, name string, hosts int, settings e2e.Settings, story func(*scenario)) {
	t.Helper()
	failure, stall := attempt(t, at, name, hosts, settings, story)
	if failure == "" {
		return
	}
	if stall < e2e.NoticeableStall {
		t.Fatal(failure)
	}
	stage.Lock()
	defer stage.Unlock()
	t.Logf("repeated, since the machine stood still for %s: %s", stall, failure)
	s := &scenario{WithT: NewWithT(t), t: t, ground: at, service: &corev1.Service{}, cleanup: t.Cleanup}
	s.prepare(name, hosts, settings)
	s.note("repeatedAfterStallMs", stall)
	story(s)
}

// spoiled is how a scenario failed that may be repeated.
type spoiled string

// attempt plays a scenario and cleans up. It returns what failed, "" if nothing did, and
// for how long the machine stood still meanwhile.
func attempt(t *testing.T, at ground, name string, hosts int, settings e2e.Settings, story func(*scenario)) (failure string, stall time.Duration) {
	t.Helper()
	stage.RLock()
	defer stage.RUnlock()
	var cleanups []func()
	s := &scenario{t: t, ground: at, service: &corev1.Service{}, cleanup: func(f func()) { cleanups = append(cleanups, f) }}
	s.WithT = NewGomega(func(message string, _ ...int) { panic(spoiled(callSites() + message)) }).(*WithT)
	defer func() {
		s.WithT = NewWithT(t) // cleaning up has to work
		for _, cleanup := range slices.Backward(cleanups) {
			cleanup()
		}
	}()
	defer func() {
		stall = s.longestStall()
		switch problem := recover().(type) {
		case nil:
		case spoiled:
			failure = string(problem)
		default:
			panic(problem)
		}
	}()
	s.prepare(name, hosts, settings)
	story(s)
	return "", 0
}

// callSites are the lines of tests from which the caller was called, as in "drain_test.go:47: ".
func callSites() string {
	callers := make([]uintptr, 50)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	var sites []string
	for {
		frame, more := frames.Next()
		if file := filepath.Base(frame.File); strings.HasSuffix(file, "_test.go") && file != "repeat_test.go" {
			sites = append(sites, fmt.Sprintf("%s:%d: ", file, frame.Line))
		}
		if !more {
			return strings.Join(sites, "")
		}
	}
}

// longestStall is how long the machine stood still at most since the scenario began, as far
// as this process or one of the clients noticed.
func (s *scenario) longestStall() time.Duration {
	longest := world.stalls.Longest(s.started)
	for _, client := range s.clients {
		for _, request := range client.Between(s.started, time.Now()) {
			longest = max(longest, request.Late)
		}
	}
	return longest
}
