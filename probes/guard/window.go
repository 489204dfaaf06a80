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

package guard

import (
	"net/netip"
	"slices"
	"time"
)

// maxWindows bounds the windows that are remembered. A suspect that began to fail before
// all of them has the oldest.
const maxWindows = 8

// window is the time since some witnesses were asked.
type window[K comparable] struct {
	startedAt time.Duration
	// awaited are the witnesses that have neither answered nor failed, and deadline is when
	// all of them will have.
	awaited  map[K]struct{}
	deadline time.Duration
	// places are the addresses reached since then, by side of the router; first is when the first
	// of these probes began, and canary when the first probe began that reached a canary.
	places        [sides]map[Location]struct{}
	first, canary [sides]moment
	// answered counts the probes that began since then and reached a target, and lost those of
	// working targets that ended in silence; lossy are the networks of these.
	answered, lost int
	lossy          []netip.Prefix
	// repeated counts the further probes of suspects since then that ended in silence, and
	// returned reports whether one passed.
	repeated int
	returned bool
}

// side is the side of the router that an address is on.
type side uint8

const (
	remote side = iota
	onLink
	sides
)

func (p Location) side() side {
	if p.OnLink {
		return onLink
	}
	return remote
}

// moment is a time, or none.
type moment struct {
	at    time.Duration
	known bool
}

func (m *moment) earliest(at time.Duration) {
	if !m.known || at < m.at {
		m.at, m.known = at, true
	}
}

// refutes reports whether a probe that reached another target at this moment, which is not before
// the suspect's first failure, shows that no cut caused the whole run of failures.
func (m moment) refutes(s *suspect) bool {
	return m.known && (m.at <= s.StartedAt || s.Class != Silence)
}

// minCounted bounds the addresses that a window counts: to this number, or to that of the failing
// addresses if it is larger. More would not change a decision.
const minCounted = 256

// reach notes that a probe that began at a time reached an address.
func (w *window[K]) reach(at Location, startedAt time.Duration, failing int) {
	if startedAt < w.startedAt {
		return
	}
	w.answered++
	side := at.side()
	w.first[side].earliest(startedAt)
	if len(w.places[side]) < max(minCounted, failing) {
		if w.places[side] == nil {
			w.places[side] = map[Location]struct{}{}
		}
		w.places[side][at] = struct{}{}
	}
}

// recordLoss notes that a working target began to fail.
func (w *window[K]) recordLoss(run Run) {
	if run.StartedAt < w.startedAt || run.Class != Silence {
		return
	}
	w.lost++
	if len(w.lossy) < minLossy && !slices.Contains(w.lossy, run.Location.network()) {
		w.lossy = append(w.lossy, run.Location.network())
	}
}

// recordRepeat notes that a suspect was silent again.
func (w *window[K]) recordRepeat(run Run) {
	if run.StartedAt >= w.startedAt && run.Class == Silence {
		w.repeated++
	}
}

// When onsetShare of the probes are lost, in minLossy networks, either packet loss begins or many
// endpoints die at once. Until it is known which, a run takes onsetFailures more: with loss, some
// of the targets pass again by then; after a death, none does. There is no need to wait where that
// is known sooner: if six in ten probes get lost, as they do of packets at 30% each way, all of
// minAgain further ones do with a probability of 4e-5.
const (
	onsetFailures = 2
	onsetShare    = 0.03
	minRepeated   = 20
)

// showsLoss reports whether so many probes of other targets got lost, too, that packet loss may
// have begun, which [Guard.Multiplier] is for.
func (w *window[K]) showsLoss(of Location) bool {
	networks := 1 + len(w.lossy)
	if slices.Contains(w.lossy, of.network()) {
		networks--
	}
	if w.repeated >= minRepeated && !w.returned {
		return false
	}
	return w.answered > 0 && networks >= minLossy && float64(w.lost) >= onsetShare*float64(w.lost+w.answered)
}

// reached returns how many addresses were reached that count for a location, and when the first of
// these probes began.
func (w *window[K]) reached(of Location) (count int, first moment) {
	count, first = len(w.places[remote]), w.first[remote]
	if of.OnLink {
		count += len(w.places[onLink])
		if near := w.first[onLink]; near.known {
			first.earliest(near.at)
		}
	}
	return count, first
}

// windowOf returns the longest window in which the suspect has failed all the time; nil if
// there is none.
func (g *Guard[K]) windowOf(s *suspect) *window[K] {
	for _, w := range g.windows {
		if w.startedAt >= max(s.since, g.lastFreezeEnd) {
			return w
		}
	}
	return nil
}

// A suspect asks for witnesses two failures before its threshold. Decisions never wait for them
// longer than maxHeard. Each delays the next call for witnesses by witnessPause, which bounds what they
// cost when many targets begin to fail one after another. Windows that began less than
// windowDistance after the one before make room for newer ones.
const (
	maxWitnessWait = 10 * time.Second
	minWitnesses   = 16
	witnessPause   = 500 * time.Microsecond
	windowDistance = 100 * time.Millisecond
)

// WantsWitnesses returns how many targets that serve, and are no suspects, should be probed
// now because of a suspect; 0 if none should. [Guard.WitnessesAsked] must follow.
func (g *Guard[K]) WantsWitnesses(k K, now time.Duration) int {
	s := g.suspects[k]
	switch {
	case s == nil || s.Class == Answered, s.failures+2 < float64(s.Threshold), g.windowOf(s) != nil:
		return 0
	case now < g.mayAskAt:
		return 0
	}
	return minWitnesses + g.failing.all()/2 // enough, if they work, to fall below the share
}

// WitnessesAsked notes that probes of witnesses and canaries were requested, all of which will have
// ended by a time.
func (g *Guard[K]) WitnessesAsked(witnesses []K, until, now time.Duration) {
	switch last := len(g.windows) - 1; {
	case last > 0 && g.windows[last].startedAt < g.windows[last-1].startedAt+windowDistance:
		g.windows = g.windows[:last]
	case len(g.windows) == maxWindows:
		g.windows = slices.Delete(g.windows, 0, 1)
	}
	g.mayAskAt = now + time.Duration(max(len(witnesses), minWitnesses))*witnessPause
	w := &window[K]{startedAt: now, awaited: make(map[K]struct{}, len(witnesses)), deadline: min(until, now+maxWitnessWait)}
	for _, k := range witnesses {
		w.awaited[k] = struct{}{}
	}
	g.windows = append(g.windows, w)
}

// noteWitness notes that a witness has answered or failed, if it is one.
func (g *Guard[K]) noteWitness(k K) {
	for _, w := range g.windows {
		delete(w.awaited, k)
	}
}

func (w *window[K]) isComplete(now time.Duration) bool {
	return len(w.awaited) == 0 || now >= w.deadline
}

// domains counts the addresses of suspects, by class and side; the index classes is for all classes.
type domains struct {
	// places counts the suspects at each address, by class.
	places map[Location]*[classes + 1]int32
	counts [classes + 1][sides]int
	nets   [classes + 1][sides]map[netip.Prefix]int
}

func newDomains() domains {
	d := domains{places: map[Location]*[classes + 1]int32{}}
	for class := range d.nets {
		for side := range d.nets[class] {
			d.nets[class][side] = map[netip.Prefix]int{}
		}
	}
	return d
}

func (d *domains) add(class Class, at Location) {
	there := d.places[at]
	if there == nil {
		there = new([classes + 1]int32)
		d.places[at] = there
	}
	for _, of := range [...]Class{class, classes} {
		if there[of]++; there[of] == 1 {
			d.counts[of][at.side()]++
			d.nets[of][at.side()][at.network()]++
		}
	}
}

func (d *domains) remove(class Class, at Location) {
	there := d.places[at]
	for _, of := range [...]Class{class, classes} {
		if there[of]--; there[of] > 0 {
			continue
		}
		d.counts[of][at.side()]--
		nets := d.nets[of][at.side()]
		if nets[at.network()]--; nets[at.network()] == 0 {
			delete(nets, at.network())
		}
	}
	if there[classes] == 0 {
		delete(d.places, at)
	}
}

// count returns how many failing addresses a suspect is compared with.
func (d *domains) count(class Class, at Location) int {
	count := d.counts[class][remote]
	if at.OnLink {
		count += d.counts[class][onLink]
	}
	return count
}

func (d *domains) networks(class Class, at Location) int {
	count := len(d.nets[class][remote])
	if at.OnLink {
		count += len(d.nets[class][onLink])
	}
	return count
}

// all returns how many addresses fail.
func (d *domains) all() int { return len(d.places) }
