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

// stage is held by the scenarios that run: by many at the same time, or by one that is repeated.
var stage sync.RWMutex

// play runs a scenario whose bounds are so tight that any operator would miss them on a stalled
// machine. If the scenario fails and the machine has stalled meanwhile, it runs once more, alone, and
// that result counts in any case. The row shows the repetition.
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
	s.recordMax("repeatedAfterStallMs", stall)
	story(s)
}

// spoiled is the failure of a scenario that may be repeated.
type spoiled string

// attempt plays a scenario and cleans up. It returns the failure, "" for none, and the longest stall
// of the machine meanwhile.
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

// callSites returns the lines of tests on the call stack, as in "drain_test.go:47: ".
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

// longestStall returns the longest stall of the machine since the scenario began that this process or
// one of the clients noticed.
func (s *scenario) longestStall() time.Duration {
	longest := world.stalls.Longest(s.started)
	for _, client := range s.clients {
		for _, request := range client.Between(s.started, time.Now()) {
			longest = max(longest, request.Late)
		}
	}
	return longest
}
