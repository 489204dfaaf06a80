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

package resolver

import (
	"math/rand/v2"
	"time"

	"farpoint.dev/farpoint/probes"
)

// Answer is what is known of a question.
type Answer struct {
	// RecordSet has the last records found. They are kept whatever the name servers answer later,
	// except that a name that does not exist loses them after a grace time.
	RecordSet
	// Stale: the records are Request.Known, which no name server has confirmed yet.
	Stale bool
	// Outcome is that of the last lookup or, of several that failed in a row, of the first.
	Outcome LookupOutcome
	// KeptUntil is when the records of a name that does not exist are dropped; zero if there are
	// none, or the name exists.
	KeptUntil time.Time
	// FirstAsked is when the question was first asked.
	FirstAsked time.Time
}

// same reports whether owners see no difference.
func (a Answer) same(other Answer) bool {
	return a.Outcome == other.Outcome && a.equal(other.RecordSet) && a.KeptUntil.Equal(other.KeptUntil)
}

// TTLBounds bound the time until a name is looked up again.
type TTLBounds struct {
	// Min and Max are positive, and Min is not above Max.
	Min, Max time.Duration
}

func (b TTLBounds) clamp(ttl time.Duration) time.Duration { return min(max(ttl, b.Min), b.Max) }

// maxPause is the longest time from a failed lookup to the next.
const maxPause = 30 * time.Second

// lookup is a question that is asked again and again, once for all of its owners.
type lookup struct {
	question Question
	// servers are those of the question; nil for the operator's own.
	servers *nameServers
	answer  Answer
	// bounds are those of each owner.
	bounds map[probes.Owner]TTLBounds
	// since is when the last reply came, and ttl how long it is valid. With exactly, asking before
	// the end would bring nothing new.
	since   time.Time
	ttl     time.Duration
	exactly bool
	// failures counts lookups that failed in a row.
	failures int
	// nxdomainSince is since when the name does not exist; zero if it does.
	nxdomainSince time.Time

	due time.Time
	// position is its index in its queue; absent while it is being asked.
	position int
	// abandoned: it has no owner any more.
	abandoned bool
}

// absent is the position of lookups that are in no queue.
const absent = -1

// take updates the answer from a reply.
func (l *lookup) take(reply dnsReply, now time.Time, grace time.Duration) {
	expiry := l.since.Add(l.ttl)
	l.since, l.ttl, l.exactly = now, reply.ttl, false
	if reply.outcome.failed() {
		l.failures++
		if !l.answer.Outcome.failed() {
			l.answer.Outcome = reply.outcome
		}
		return
	}
	// A server that counts down the TTL of its own copy, give or take a second, repeats the known
	// reply: asking it a little early brings nothing new.
	if left := expiry.Sub(now); reply.outcome == l.answer.Outcome && left > 0 && reply.ttl <= left+time.Second && reply.records.equal(l.answer.RecordSet) {
		l.ttl, l.exactly = left, true
	}
	l.failures, l.answer.Outcome = 0, reply.outcome
	if reply.outcome == LookupMissing {
		l.miss(now, grace)
		return
	}
	l.nxdomainSince, l.answer.KeptUntil = time.Time{}, time.Time{}
	if reply.outcome == LookupFound {
		l.answer.RecordSet, l.answer.Stale = reply.records, false
	}
}

// miss drops the records once the name has not existed for the grace time.
func (l *lookup) miss(now time.Time, grace time.Duration) {
	if l.nxdomainSince.IsZero() {
		l.nxdomainSince = now
	}
	l.answer.KeptUntil = l.nxdomainSince.Add(grace)
	if !now.Before(l.answer.KeptUntil) {
		l.answer.RecordSet = RecordSet{}
	}
	if l.answer.empty() {
		l.answer.KeptUntil = time.Time{}
	}
}

// schedule sets when to ask again: not before the smallest minimum TTL of the owners, and a little
// before the reply expires, at random, so that questions that were asked together spread out.
func (l *lookup) schedule() {
	var first time.Duration
	for _, bounds := range l.bounds {
		wait := l.wait(bounds)
		if first == 0 || wait < first {
			first = wait
		}
	}
	l.due = l.since.Add(first)
	if until := l.answer.KeptUntil; until.After(l.since) && until.Before(l.due) {
		l.due = until
	}
}

func (l *lookup) wait(bounds TTLBounds) time.Duration {
	if l.failures > 0 {
		return min(bounds.Min<<min(l.failures-1, 8), max(bounds.Min, maxPause), bounds.Max)
	}
	if l.exactly {
		return min(l.ttl, bounds.Max)
	}
	early := 1 - maxEarly*rand.Float64()
	ttl := bounds.clamp(l.ttl)
	return max(time.Duration(float64(ttl)*early), min(bounds.Min, ttl))
}

// maxEarly is the maximum share of a reply's TTL by which a lookup is early.
const maxEarly = 0.05
