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

package overload

import (
	"time"

	"farpoint.dev/farpoint/probes"
)

// StartLimit bounds how many probes begin, so that no more are under way than can be served:
// by this process, by the machine and by the endpoints. It is pure; times are counted from
// an origin.
//
// It is for overload only. What tells overload from endpoints that are far away, slow or dead
// is that probes that pass take longer than those of the same endpoints did before, on average
// and by a share of their timeouts; or that a quarter of the endpoints accept connections and
// do not answer. Then half as many may be under way; and more as long as it is not so, and more
// are due. Probes that have been under way for longer than recentTicks do not count: an endpoint
// that is silent costs nothing, and takes the place of none.
type StartLimit struct {
	limit int
	// recent counts the probes under way by the tick that they began in, modulo their number;
	// tick is the last of those ticks, and total the sum.
	recent [recentTicks]int
	tick   time.Duration
	total  int
	// typical is how long probes take of endpoints that nothing is known of yet.
	typical time.Duration
	// known are the probes of other endpoints that have passed since the limit was last found
	// right or wrong, and first those of endpoints that had never passed before.
	known, first startSample
	// silences counts the endpoints meanwhile that accepted a connection and did not answer.
	silences int
	// changed is when the limit was last looked at.
	changed time.Duration
	// reached: the limit has kept a probe from beginning.
	reached bool
}

// startSample are probes that have passed: how long they took in all, how long they usually
// take, and how much longer they may take.
type startSample struct {
	count              int
	took, usual, slack time.Duration
}

func (s *startSample) add(took, usual, timeout time.Duration) {
	s.count++
	s.took += took
	s.usual += usual
	s.slack += timeout / 16
}

const (
	// tick is the grain of time by which probes are counted, and recentTicks for how many of them.
	tick        = 10 * time.Millisecond
	recentTicks = 10
	// startWindow is how often the limit changes.
	startWindow = 50 * time.Millisecond
	// fewestStarts is the least that the limit may be.
	fewestStarts = 16
	// fewestEnded is how many probes must have ended for what they took to tell anything.
	fewestEnded = 8
)

// NewStartLimit returns one that so many probes may begin by at first.
func NewStartLimit(first int) StartLimit { return StartLimit{limit: first} }

// Reach notes that the limit has kept a probe from beginning.
func (l *StartLimit) Reach() { l.reached = true }

// Left is how many probes may begin.
func (l *StartLimit) Left(now time.Duration) int {
	l.advance(now)
	return max(l.limit-l.total, 0)
}

// Begin counts a probe that begins.
func (l *StartLimit) Begin(now time.Duration) {
	l.advance(now)
	l.recent[now/tick%recentTicks]++
	l.total++
}

// EndedProbe is a probe that has ended, as a [StartLimit] sees it.
type EndedProbe struct {
	StartedAt, Timeout time.Duration
	// Usual is how long it takes if it completes; 0 if that is not known.
	Usual time.Duration
	// Accepted: the endpoint, which is not known to be down, has accepted the connection.
	Accepted bool
	Outcome  probes.Outcome
}

// End takes a probe into account.
func (l *StartLimit) End(p EndedProbe, now time.Duration) {
	l.advance(now)
	if at := p.StartedAt / tick; at > l.tick-recentTicks && l.recent[at%recentTicks] > 0 {
		l.recent[at%recentTicks]--
		l.total--
	}
	took := now - p.StartedAt
	switch {
	case p.Outcome.Completes() && p.Usual == 0:
		l.first.add(took, 0, p.Timeout)
	case p.Outcome.Completes():
		l.known.add(took, p.Usual, p.Timeout)
	case p.Accepted && took >= p.Timeout:
		l.silences++
	}
}

// advance forgets the probes that are not recent any more.
func (l *StartLimit) advance(now time.Duration) {
	for at := now / tick; l.tick < at; {
		if l.total == 0 {
			l.tick = at
			break
		}
		l.tick++
		l.total -= l.recent[l.tick%recentTicks]
		l.recent[l.tick%recentTicks] = 0
	}
	if now >= l.changed+startWindow {
		l.adapt(now)
	}
}

// adapt changes the limit.
func (l *StartLimit) adapt(now time.Duration) {
	ended := l.known.count + l.first.count + l.silences
	switch {
	case l.tooMany(ended):
		l.limit = max(min(l.limit, max(l.total, fewestStarts))/2, fewestStarts)
	case l.reached:
		l.limit += l.limit/4 + fewestStarts
	}
	l.changed, l.reached = now, false
	if ended < fewestEnded {
		return
	}
	if l.first.count > 0 {
		mean := l.first.took / time.Duration(l.first.count)
		if l.typical == 0 { // those that end first have waited for nobody
			l.typical = mean
		}
		l.typical = min(mean, l.typical+l.typical/16+time.Millisecond)
	}
	l.known, l.first, l.silences = startSample{}, startSample{}, 0
}

// tooMany reports whether too many probes were under way for those that have ended.
func (l *StartLimit) tooMany(ended int) bool {
	if ended < fewestEnded {
		return false
	}
	if l.typical == 0 && l.first.count > 0 {
		return false
	}
	l.first.usual = l.typical * time.Duration(l.first.count) // some are near, and some far away
	took, usual := l.known.took+l.first.took, l.known.usual+l.first.usual
	return l.silences > ended/4 || took > usual+l.known.slack+l.first.slack
}
