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
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// shortPause is how long a state is shown in the first round.
	shortPause = 2 * time.Second
	// longPause is for all other rounds. If it were shorter, the operator would damp the
	// endpoints as flapping and let them recover later and later.
	longPause = 8 * time.Second
	// patience is how long the slices may take to follow a backend. The user may be editing
	// them in a second terminal.
	patience = 20 * time.Second
	forever  = 1000 * time.Hour
)

// stage is what the story needs of the show.
type stage interface {
	stop(backend int)
	start(ctx context.Context, backend int) error
	// conditions returns the conditions of an address in the slices; false if no slice has it.
	conditions(address string) (conditions, bool)
	// wait waits until the condition holds or the limit is over.
	wait(ctx context.Context, limit time.Duration, scene string, holds func() bool) error
	log(source, text string)
}

// story stops one backend after another, waits until its endpoint is dead in the slices, starts
// it again, and waits until its endpoint is alive.
type story struct {
	stage
	addresses []string
	// deaths and recoveries are the times from a backend's stop or start to the slice that
	// shows it.
	deaths, recoveries []time.Duration
}

// play returns when the context ends or something fails.
func (s *story) play(ctx context.Context) error {
	const opening = "Waiting until every endpoint is ready: its first passed probe makes it so."
	allAlive := func() bool {
		return !slices.ContainsFunc(s.addresses, func(address string) bool { return !s.is(address, alive) })
	}
	if err := s.wait(ctx, forever, opening, allAlive); err != nil {
		return err
	}
	s.log("demo", fmt.Sprintf("all %d endpoints are ready", len(s.addresses)))
	for pause := shortPause; ; pause = longPause {
		for i := range s.addresses {
			if err := s.kill(ctx, i, pause); err != nil {
				return err
			}
		}
	}
}

// kill stops a backend and starts it again. It skips an endpoint that is not alive, because the
// user has edited or deleted it.
func (s *story) kill(ctx context.Context, i int, pause time.Duration) error {
	address := s.addresses[i]
	never := func() bool { return false }
	if err := s.wait(ctx, pause, "All is quiet. Soon the next backend is stopped.", never); err != nil || !s.is(address, alive) {
		return err
	}
	s.stop(i)
	died, err := s.follow(ctx, address, dead, &s.deaths, "backend stopped {elapsed} ago; 3 failed probes make it not ready.", "went not ready %s after its backend was stopped")
	if err != nil {
		return err
	}
	if err := s.wait(ctx, pause, address+": backend down. Soon it is started again.", never); err != nil {
		return err
	}
	var recoveries *[]time.Duration // counted only after a death
	if died && s.is(address, dead) {
		recoveries = &s.recoveries
	}
	if err := s.start(ctx, i); err != nil {
		return err
	}
	_, err = s.follow(ctx, address, alive, recoveries, "backend started {elapsed} ago; 2 passed probes make it ready.", "is ready again %s after its backend was started")
	return err
}

// follow reports whether the slices show the conditions in time, and adds the time that it took
// to the times, unless they are nil. It gives up on an endpoint that somebody took out of them.
func (s *story) follow(ctx context.Context, address string, want conditions, times *[]time.Duration, scene, result string) (bool, error) {
	began := time.Now()
	err := s.wait(ctx, patience, address+": "+scene, func() bool {
		_, published := s.conditions(address)
		return !published || s.is(address, want)
	})
	took := time.Since(began)
	switch {
	case err != nil:
		return false, err
	case !s.is(address, want):
		s.log("demo", fmt.Sprintf("the slices have not followed %s; going on", address))
		return false, nil
	case times != nil:
		*times = append(*times, took)
		s.log("demo", address+" "+fmt.Sprintf(result, milliseconds(took)))
	}
	return true, nil
}

func (s *story) is(address string, want conditions) bool {
	got, published := s.conditions(address)
	return published && got == want
}

// summary is the last line of the demo.
func (s *story) summary() string {
	text := fmt.Sprintf("Seen in the API server: %s and %s", count(s.deaths, "death", "deaths"), count(s.recoveries, "recovery", "recoveries"))
	if len(s.deaths) > 0 {
		text += "; median time to the slice: " + milliseconds(median(s.deaths)) + " down"
	}
	if len(s.recoveries) > 0 {
		text += ", " + milliseconds(median(s.recoveries)) + " up"
	}
	return text + "."
}

func count(times []time.Duration, one, many string) string {
	if len(times) == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", len(times), many)
}

// median is the lower of the two in the middle if there are two.
func median(times []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(times))[(len(times)-1)/2]
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// sceneAt writes the time that has passed into a scene.
func sceneAt(scene string, elapsed time.Duration) string {
	return strings.Replace(scene, "{elapsed}", fmt.Sprintf("%.1f s", elapsed.Seconds()), 1)
}
