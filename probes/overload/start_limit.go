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

// StartLimit bounds how many probes start, so that this process, the machine and the endpoints can
// serve all that are under way. It is pure; times are counted from an origin.
//
// It detects overload, as opposed to endpoints that are far away, slow or dead, in one of two ways:
// probes that pass take longer than earlier ones of the same endpoints, on average and by a share
// of their timeouts; or a quarter of the endpoints accept connections and do not answer. Then the
// limit is halved. Otherwise it grows, as long as more probes are due. Probes that have been under
// way for longer than recentTicks do not count: waiting for a silent endpoint costs nothing.
type StartLimit struct {
	limit int
	// recent counts the probes under way by the tick that they began in, modulo their number;
	// tick is the last of those ticks, and total the sum.
	recent [recentTicks]int
	tick   time.Duration
	total  int
	// typical is how long probes of endpoints take that have never passed before.
	typical time.Duration
	// known are the probes that have passed since the limit was last evaluated, except those of
	// endpoints that had never passed before, which are first.
	known, first startSample
	// silences counts the endpoints since then that accepted a connection and did not answer.
	silences int
	// changed is when the limit was last adapted.
	changed time.Duration
	// reached: the limit has kept a probe from starting.
	reached bool
}

// startSample sums up probes that have passed: how long they took, how long they usually take, and
// how much longer they may take.
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
	// tick is the resolution at which probes are counted, and recentTicks how long they count.
	tick        = 10 * time.Millisecond
	recentTicks = 10
	// startWindow is how often the limit changes.
	startWindow = 50 * time.Millisecond
	// minLimit is the smallest limit.
	minLimit = 16
	// minEnded is how many probes must have ended before the limit is evaluated.
	minEnded = 8
)

// NewStartLimit returns a limit that begins with first probes.
func NewStartLimit(first int) StartLimit { return StartLimit{limit: first} }

// Reach notes that the limit has kept a probe from starting.
func (l *StartLimit) Reach() { l.reached = true }

// Left returns how many more probes may start.
func (l *StartLimit) Left(now time.Duration) int {
	l.advance(now)
	return max(l.limit-l.total, 0)
}

// Begin counts a probe that starts.
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
		l.limit = max(min(l.limit, max(l.total, minLimit))/2, minLimit)
	case l.reached:
		l.limit += l.limit/4 + minLimit
	}
	l.changed, l.reached = now, false
	if ended < minEnded {
		return
	}
	if l.first.count > 0 {
		mean := l.first.took / time.Duration(l.first.count)
		if l.typical == 0 { // the first to end have waited for no other probe
			l.typical = mean
		}
		l.typical = min(mean, l.typical+l.typical/16+time.Millisecond)
	}
	l.known, l.first, l.silences = startSample{}, startSample{}, 0
}

// tooMany reports whether too many probes were under way for those that have ended.
func (l *StartLimit) tooMany(ended int) bool {
	if ended < minEnded {
		return false
	}
	if l.typical == 0 && l.first.count > 0 {
		return false
	}
	l.first.usual = l.typical * time.Duration(l.first.count) // individually some are near, and some far away
	took, usual := l.known.took+l.first.took, l.known.usual+l.first.usual
	return l.silences > ended/4 || took > usual+l.known.slack+l.first.slack
}
