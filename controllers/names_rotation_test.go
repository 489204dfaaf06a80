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

package controllers

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/availability"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/resolver"
)

// rotatedHarness has had fifty addresses in answers, one after the other, which it keeps for a while.
func rotatedHarness(t *testing.T) (w *harness, all []string, want map[string]string) {
	t.Helper()
	w = namedHarness(t, "store.example")
	w.object.Spec.DNS = &farpointv1.DNSOptions{KeepFor: &metav1.Duration{Duration: 10 * time.Minute}}
	want = map[string]string{}
	for i := range 50 {
		address := fmt.Sprintf("192.0.2.%d", i+1)
		all = append(all, address)
		want[address+":8080"] = "TTF"
		w.verdicts[address+":8080"] = health.StateHealthy
		w.names.host("store.example", address)
		w.look()
		w.now = w.now.Add(5 * time.Second)
	}
	return w, all, want
}

// An object store answers with some of its addresses each time.
func TestNames_AnswersRotate_AddressesStayForKeepFor(t *testing.T) {
	w, all, want := rotatedHarness(t)
	const resolved = "True NamesResolved"
	w.expect("once each address was in an answer", want, resolved)
	before, status := w.slices, *w.object.Status.DeepCopy()
	quiet := func(what string) {
		t.Helper()
		if !equality.Semantic.DeepEqual(before, w.slices) || !equality.Semantic.DeepEqual(status, w.object.Status) {
			t.Fatalf("%s: something was written", what)
		}
	}
	for i := range 200 {
		w.names.host("store.example", all[i*7%50])
		w.look()
		quiet("another answer")
		w.now = w.now.Add(5 * time.Second)
	}
	w.restart()
	quiet("a restart")

	w.verdicts["192.0.2.7:8080"] = health.StateUnhealthy
	w.names.host("store.example", "192.0.2.1")
	w.look()
	w.look()
	delete(want, "192.0.2.7:8080")
	w.expect("one that fails", want, resolved)
	if w.object.Status.Unhealthy > 0 {
		t.Error("an address that only was in an answer is unhealthy")
	}
	w.look()
	w.expect("it does not come back by itself", want, resolved)

	w.names.fail = resolver.LookupTimeout
	w.now = w.now.Add(time.Hour)
	w.look()
	w.expect("name servers that fail", want, "False NameServerTimeout")
	w.names.fail = resolver.LookupPending
	w.now = w.now.Add(9 * time.Minute)
	w.look()
	w.expect("before the time is up", want, resolved)
	w.now = w.now.Add(2 * time.Minute)
	w.look()
	for name := range want {
		want[name] = "FTT"
	}
	want["192.0.2.1:8080"] = "TTF"
	w.expect("afterwards", want, resolved)
	w.now = w.now.Add(availability.DefaultDrainPeriod)
	w.look()
	w.expect("once they have drained", map[string]string{"192.0.2.1:8080": "TTF"}, resolved)
}
