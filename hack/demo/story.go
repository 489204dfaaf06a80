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
	"fmt"
	"slices"
	"time"
)

// chapter is where in the story we are.
type chapter int

const (
	// opening: not all endpoints have been ready yet.
	opening chapter = iota
	// peace: the next backend is about to be stopped.
	peace
	// dying: a backend is stopped, and its endpoint still ready.
	dying
	// mourning: its endpoint is not ready; the backend is about to be started again.
	mourning
	// rising: the backend is started again, and its endpoint not ready yet.
	rising
)

const (
	// pause is how long a state is shown before the next thing happens, in the first
	// round.
	pause = 2 * time.Second
	// longPause is that of all other rounds. With a shorter one the operator would take
	// the endpoints for flapping ones (freeFalls in probes/health.go) and let them
	// recover later and later.
	longPause = 8 * time.Second
	// patience is how long the slice is waited for. Somebody may be editing things in
	// the second terminal.
	patience = 20 * time.Second
)

// cue is what has to be done for the story to go on.
type cue int

const (
	nothing cue = iota
	stopBackend
	startBackend
)

// story stops one backend after the other, waits for its endpoint to be dead in the
// slices, starts it again and waits for the endpoint to be alive. It is pure: it says
// what is to be done, and is told what is to be seen.
type story struct {
	addresses []string
	chapter   chapter
	// since is when the chapter began.
	since time.Time
	// actor is the index of the endpoint whose turn it is; turns counts them.
	actor, turns int
	// mourned means that the actor was seen dead since its backend was stopped.
	mourned bool
	// deaths and recoveries are the times from a backend's stop or start to the slice
	// that shows it.
	deaths, recoveries []time.Duration
}

func newStory(addresses []string) *story {
	return &story{addresses: addresses, actor: len(addresses) - 1}
}

// advance goes on with the story if the time or what is to be seen lets it. The changes
// tell what was seen.
func (s *story) advance(now time.Time, seen func(address string) (conditions, bool)) (cue, []change) {
	is := func(i int, wanted conditions) bool {
		found, ok := seen(s.addresses[i])
		return ok && found == wanted
	}
	elapsed := max(now.Sub(s.since), 0) // a sighting may have waited its turn
	switch s.chapter {
	case opening:
		for i := range s.addresses {
			if !is(i, alive) {
				return nothing, nil
			}
		}
		s.enter(peace, now)
		return nothing, []change{{source: "demo", text: fmt.Sprintf("all %d endpoints are ready", len(s.addresses))}}
	case peace:
		if elapsed < s.pause() || !s.cast(is) {
			return nothing, nil
		}
		s.mourned = false
		s.enter(dying, now)
		return stopBackend, nil
	case dying:
		if s.vanished(seen) {
			s.enter(mourning, now)
			return nothing, nil
		}
		if is(s.actor, dead) {
			s.mourned = true
			s.deaths = append(s.deaths, elapsed)
			s.enter(mourning, now)
			return nothing, []change{{source: "demo", text: fmt.Sprintf("%s went not ready %s after its backend was stopped", s.address(), milliseconds(elapsed))}}
		}
		return nothing, s.lose(mourning, now)
	case mourning:
		if elapsed < s.pause() {
			return nothing, nil
		}
		s.enter(rising, now)
		return startBackend, nil
	default:
		if is(s.actor, alive) {
			return nothing, s.rise(now, elapsed)
		}
		s.vanished(seen)
		return nothing, s.lose(peace, now)
	}
}

// vanished tells whether somebody has taken the actor out of the slices. What it is
// published as after that is not the doing of its backend, and does not count.
func (s *story) vanished(seen func(address string) (conditions, bool)) bool {
	if _, ok := seen(s.address()); ok {
		return false
	}
	s.mourned = false
	return true
}

// rise ends the chapter of an endpoint that is alive. It counts if it was dead before.
func (s *story) rise(now time.Time, elapsed time.Duration) []change {
	s.enter(peace, now)
	if !s.mourned {
		return nil
	}
	s.recoveries = append(s.recoveries, elapsed)
	return []change{{source: "demo", text: fmt.Sprintf("%s is ready again %s after its backend was started", s.address(), milliseconds(elapsed))}}
}

// cast gives the next endpoint that is alive its turn.
func (s *story) cast(is func(int, conditions) bool) bool {
	for step := range s.addresses {
		if next := (s.actor + 1 + step) % len(s.addresses); is(next, alive) {
			s.actor = next
			s.turns++
			return true
		}
	}
	return false
}

func (s *story) pause() time.Duration {
	if s.turns <= len(s.addresses) {
		return pause
	}
	return longPause
}

// lose goes on with the next chapter once patience is over.
func (s *story) lose(next chapter, now time.Time) []change {
	if now.Sub(s.since) < patience {
		return nil
	}
	s.enter(next, now)
	return []change{{source: "demo", text: fmt.Sprintf("the slices have not followed %s within %s; going on", s.address(), patience)}}
}

func (s *story) enter(next chapter, now time.Time) { s.chapter, s.since = next, now }

func (s *story) address() string { return s.addresses[s.actor] }

// complete tells whether an endpoint was seen to go not ready and ready again.
func (s *story) complete() bool { return len(s.recoveries) > 0 }

// missing says what was not seen; "" if the story is complete.
func (s *story) missing(seen func(address string) (conditions, bool)) string {
	switch {
	case s.complete():
		return ""
	case s.chapter == opening:
		var ready int
		for _, address := range s.addresses {
			if found, _ := seen(address); found == alive {
				ready++
			}
		}
		return fmt.Sprintf("the API server never showed all endpoints ready, but %d of %d in the end", ready, len(s.addresses))
	case len(s.deaths) == 0:
		return fmt.Sprintf("all endpoints were ready, but the API server showed none of them not ready (%s) after its backend was stopped", dead)
	default:
		return fmt.Sprintf("the API server showed an endpoint not ready after its backend was stopped, but not ready again (%s) after it was started", alive)
	}
}

// scene says in a sentence what is going on.
func (s *story) scene(now time.Time) string {
	elapsed := now.Sub(s.since).Seconds()
	switch s.chapter {
	case opening:
		return "Waiting until every endpoint is ready: its first passed probe makes it so."
	case peace:
		return "All is quiet. Soon the next backend is stopped."
	case dying:
		return fmt.Sprintf("%s: backend stopped %.1f s ago; 3 failed probes make it not ready.", s.address(), elapsed)
	case mourning:
		return fmt.Sprintf("%s: backend down. Soon it is started again.", s.address())
	default:
		return fmt.Sprintf("%s: backend started %.1f s ago; 2 passed probes make it ready.", s.address(), elapsed)
	}
}

// summary is the last line of the demo.
func (s *story) summary() string {
	text := fmt.Sprintf("Seen in the API server: %s and %s", count(s.deaths, "death", "deaths"), count(s.recoveries, "recovery", "recoveries"))
	if len(s.deaths) > 0 {
		text += fmt.Sprintf("; median time to the slice: %s down", milliseconds(median(s.deaths)))
	}
	if len(s.recoveries) > 0 {
		text += fmt.Sprintf(", %s up", milliseconds(median(s.recoveries)))
	}
	return text + "."
}

func count(times []time.Duration, one, many string) string {
	if len(times) == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", len(times), many)
}

// median is the lower one of the two in the middle if there are two.
func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[(len(sorted)-1)/2]
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%d ms", d.Milliseconds())
}
