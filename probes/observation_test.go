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

package probes

import (
	"context"
	"crypto/tls"
	"testing"
	"testing/synctest"
	"time"
)

// What a probe sees of certificates is known, be the session resumed or the certificate
// refused, for every scheme that may make use of TLS.
func TestCertificateExpiryIsKnown(t *testing.T) {
	ca := newAuthority(t) // valid for an hour itself
	for _, test := range []struct {
		name     string
		change   tls.Certificate
		settings TLSSettings
		want     time.Duration
	}{
		{"of the endpoint", ca.issue(t, lasting(20*time.Minute)), TLSSettings{CABundle: ca.bundle()}, 20 * time.Minute},
		{"of its authority", ca.issue(t, lasting(240*time.Hour)), TLSSettings{CABundle: ca.bundle()}, time.Hour},
		{"unverified", ca.issue(t, lasting(240*time.Hour)), TLSSettings{InsecureSkipVerify: true}, 240 * time.Hour},
		{"expired", ca.issue(t, expired), TLSSettings{CABundle: ca.bundle()}, -time.Minute},
	} {
		for _, url := range []string{"https://", "tls://"} {
			t.Run(url+" "+test.name, func(t *testing.T) {
				def := probeOf(serve(t, secure(&tls.Config{Certificates: []tls.Certificate{test.change}}, responding(well))), url)
				def.TLS = &test.settings
				prober := newProber(t, def)
				if got := prober.(tlsInfo).certificateExpiry(); !got.IsZero() {
					t.Errorf("%v before the first probe", got)
				}
				for range 3 {
					probeOutside(t, prober, ample)
					got := time.Until(prober.(tlsInfo).certificateExpiry())
					if off := got - test.want; off < -time.Minute || off > time.Minute {
						t.Errorf("expires in %v, want %v", got, test.want)
					}
				}
			})
		}
	}
	for _, url := range []string{"http://", "https://", "tls://", "grpc://", "grpcs://", "grpcs://:443?watch=true", "redis://", "rediss://", "mysql://", "postgres://"} {
		prober := newProber(t, probeOf(refusing(t), url))
		if of, ok := prober.(tlsInfo); !ok || !of.certificateExpiry().IsZero() {
			t.Errorf("%s: %T is not asked for what it sees of certificates", url, prober)
		}
	}
}

func TestObservations(t *testing.T) {
	running(t, func(t *testing.T, s *Scheduler, _ func() int) {
		prober := answering(SuccessResult())
		prober.set(func(context.Context) Result { time.Sleep(250 * time.Millisecond); return SuccessResult() })
		s.Set(owner, []Target{target(prober)})
		time.Sleep(time.Second)
		synctest.Wait()
		list := s.Observations(owner, nil)
		if want := (Observation{Key: "a", Took: 250 * time.Millisecond}); len(list) != 1 || list[0] != want {
			t.Errorf("%+v, want %+v", list, want)
		}
		if list = s.Observations(Owner{Name: "nobody"}, list[:0]); len(list) != 0 {
			t.Errorf("%+v of nobody", list)
		}
	})
}

// A target that keeps dying is said to be flapping until it has been quiet for a while.
func TestFlapping(t *testing.T) {
	limits, at := Thresholds{Failure: 1, Success: 1}, time.Unix(1_000_000, 0)
	health := Seeded(StateHealthy)
	for death := 1; death <= freeFalls+1; death++ {
		if health.Flapping(at) {
			t.Fatalf("flapping before death %d", death)
		}
		at = at.Add(10 * time.Second)
		health.Observe(FailureResult(ReasonTimeout), limits, at)
		if death <= freeFalls {
			at = at.Add(10 * time.Second)
			health.Observe(SuccessResult(), limits, at)
		}
	}
	if !health.Flapping(at) {
		t.Errorf("not flapping after %d deaths in 2 minutes", freeFalls+1)
	}
	if health.Flapping(at.Add(flapWindow)) {
		t.Error("flapping for ever")
	}
}
