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
	"testing"
	"testing/synctest"
	"time"
)

func TestOutageChangesNothing(t *testing.T) {
	for _, outcome := range []LookupOutcome{LookupTimeout, LookupServerFailure, LookupRefused, LookupInvalid, LookupAliasLoop, LookupEmpty} {
		t.Run(outcome.String(), func(t *testing.T) {
			resolve(t, func(t *testing.T, r *Resolver, a *oracle) {
				a.setReply(dbA, foundReply(time.Minute, "192.0.2.1"))
				r.Set(asker, wantDB)
				time.Sleep(time.Minute)
				a.setReply(dbA, dnsReply{outcome: outcome})
				time.Sleep(time.Minute)
				before := len(a.times(dbA))
				time.Sleep(100 * time.Hour)
				if got := r.settled(dbA); !got.equal(addresses("192.0.2.1")) || got.Outcome != outcome {
					t.Errorf("%+v", got)
				}
				if notified := a.notified(asker); notified != 2 {
					t.Errorf("told %d times, want of the name and of the outage", notified)
				}
				if queries := len(a.times(dbA)) - before; outcome != LookupEmpty && (queries < 100*60 || queries > 100*3600/25) {
					t.Errorf("asked %d times in 100 hours", queries)
				}
				a.setReply(dbA, foundReply(time.Minute, "192.0.2.3"))
				time.Sleep(maxPause)
				if got := r.settled(dbA); !got.equal(addresses("192.0.2.3")) || got.Outcome != LookupFound || a.notified(asker) != 3 {
					t.Errorf("after the outage: %+v, told %d times", got, a.notified(asker))
				}
			})
		})
	}
}

// Whether the servers are silent or say that they do not know is no news.
func TestOutageThatChangesItsFace(t *testing.T) {
	resolve(t, func(t *testing.T, r *Resolver, a *oracle) {
		a.setReply(dbA, foundReply(time.Second, "192.0.2.1"))
		r.Set(asker, wantDB)
		synctest.Wait()
		for _, outcome := range []LookupOutcome{LookupTimeout, LookupServerFailure, LookupTimeout, LookupInvalid} {
			a.setReply(dbA, dnsReply{outcome: outcome})
			time.Sleep(time.Minute)
		}
		if got := r.settled(dbA); got.Outcome != LookupTimeout || a.notified(asker) != 2 {
			t.Errorf("%v, told %d times", got.Outcome, a.notified(asker))
		}
	})
}

func TestNameThatDoesNotExistGoesAfterAGraceTime(t *testing.T) {
	resolve(t, func(t *testing.T, r *Resolver, a *oracle) {
		a.setReply(dbA, foundReply(time.Minute, "192.0.2.1"))
		r.Set(asker, wantDB)
		synctest.Wait()
		a.setReply(dbA, dnsReply{outcome: LookupMissing, ttl: 2 * time.Minute})
		time.Sleep(time.Minute)
		synctest.Wait()
		nxdomainSince := a.times(dbA)[1]
		got := r.settled(dbA)
		if !got.equal(addresses("192.0.2.1")) || got.Outcome != LookupMissing || !got.KeptUntil.Equal(nxdomainSince.Add(DefaultMissingGrace)) {
			t.Fatalf("%+v, missing since %v", got, nxdomainSince)
		}
		time.Sleep(time.Until(got.KeptUntil) - time.Second)
		if got := r.settled(dbA); got.empty() || a.notified(asker) != 2 {
			t.Errorf("a second before the grace time ends: %+v, told %d times", got, a.notified(asker))
		}
		time.Sleep(time.Second)
		if got := r.settled(dbA); !got.empty() || got.Outcome != LookupMissing || !got.KeptUntil.IsZero() || a.notified(asker) != 3 {
			t.Errorf("after the grace time: %+v, told %d times", got, a.notified(asker))
		}
		// What is remembered by somebody who is behind is no reason to bring it back.
		r.Set(asker, []Request{{dbA, bounds, addresses("192.0.2.1")}})
		time.Sleep(time.Hour)
		if got := r.settled(dbA); !got.empty() {
			t.Errorf("an hour later: %+v", got)
		}
		a.setReply(dbA, foundReply(time.Minute, "192.0.2.2"))
		time.Sleep(2 * time.Minute)
		if got := r.settled(dbA); !got.equal(addresses("192.0.2.2")) {
			t.Errorf("when it exists again: %+v", got)
		}
	})
}

func TestNameThatIsBackWithinTheGraceTime(t *testing.T) {
	resolve(t, func(t *testing.T, r *Resolver, a *oracle) {
		a.setReply(dbA, foundReply(time.Minute, "192.0.2.1"))
		r.Set(asker, wantDB)
		for range 10 {
			a.setReply(dbA, dnsReply{outcome: LookupMissing})
			time.Sleep(4 * time.Minute)
			a.setReply(dbA, foundReply(time.Minute, "192.0.2.1"))
			time.Sleep(time.Minute)
			if got := r.settled(dbA); !got.equal(addresses("192.0.2.1")) || got.Outcome != LookupFound || !got.KeptUntil.IsZero() {
				t.Fatalf("%+v", got)
			}
		}
	})
}

// While nobody answers, nobody says either that the name is still missing.
func TestOutageWithinTheGraceTime(t *testing.T) {
	resolve(t, func(t *testing.T, r *Resolver, a *oracle) {
		a.setReply(dbA, foundReply(time.Minute, "192.0.2.1"))
		r.Set(asker, wantDB)
		synctest.Wait()
		a.setReply(dbA, dnsReply{outcome: LookupMissing})
		time.Sleep(2 * time.Minute)
		a.setReply(dbA, dnsReply{outcome: LookupTimeout})
		before := len(a.times(dbA))
		time.Sleep(10 * time.Hour)
		if got := r.settled(dbA); !got.equal(addresses("192.0.2.1")) {
			t.Errorf("%+v", got)
		}
		if queries := len(a.times(dbA)) - before; queries > 10*3600/25 {
			t.Errorf("asked %d times in 10 hours", queries)
		}
	})
}

func TestRestartDuringAnOutage(t *testing.T) {
	resolve(t, func(t *testing.T, r *Resolver, a *oracle) {
		a.setReply(dbA, dnsReply{outcome: LookupServerFailure})
		r.Set(asker, []Request{{dbA, bounds, addresses("192.0.2.1")}})
		if got := r.Answer(dbA); !got.equal(addresses("192.0.2.1")) || got.Outcome != LookupPending {
			t.Errorf("before the first reply: %+v", got)
		}
		time.Sleep(100 * time.Hour)
		if got := r.settled(dbA); !got.equal(addresses("192.0.2.1")) || got.Outcome != LookupServerFailure || !got.Stale {
			t.Errorf("%+v", got)
		}
		a.setReply(dbA, foundReply(time.Minute, "192.0.2.1"))
		time.Sleep(maxPause)
		if got := r.settled(dbA); !got.equal(addresses("192.0.2.1")) || got.Outcome != LookupFound || got.Stale {
			t.Errorf("after it: %+v", got)
		}
	})
}
