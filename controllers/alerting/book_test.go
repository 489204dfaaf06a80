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

package alerting

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

func TestBook_Evaluations_YieldOnlyChanges(t *testing.T) {
	b, serial := newBook(), uint64(0)
	changes := func(after time.Duration, objects ...*farpointv1.ExternalService) string {
		t.Helper()
		at := someTime.Add(after)
		for _, object := range objects {
			b.record(client.ObjectKeyFromObject(object), Evaluate(object), at)
		}
		var list []notice
		list, serial = b.after(serial, at)
		return short(list)
	}
	expect := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	expect(changes(0, externalService("a", unhealthy), externalService("b", healthy)), "+a/0 ")
	expect(changes(1, externalService("a", unhealthy)), "")
	expect(changes(1, externalService("a", unhealthy, unhealthy)), "+a/1 ")
	expect(changes(2, externalService("a", unhealthy, healthy), externalService("b", unhealthy)), "-a/1 +b/0 ")
	expect(changes(2, externalService("a", unhealthy)), "")
	refused := externalService("a", unhealthy)
	refused.Status.Endpoints[0].Reason = "ConnectionRefused"
	expect(changes(3, refused), "~a/0 +a/0 ")
	serial = 0 // all that holds, and what ended lately
	expect(changes(4), "-a/1 +b/0 ~a/0 +a/0 ")
	serial = 0
	expect(changes(endedRetention+time.Minute), "+b/0 +a/0 ")
	expect(changes(endedRetention+time.Minute, externalService("b")), "?b/0 ")
	for _, name := range []string{"a", "b"} {
		b.record(types.NamespacedName{Namespace: "shop", Name: name}, Evaluate(nil), someTime)
	}
	changes(3 * endedRetention)
	if len(b.notices) != 0 {
		t.Errorf("%v is left", b.notices)
	}
}

// A mass outage of one large object must not take quadratic time: with 10,000 endpoints
// that is the difference between milliseconds and minutes.
func TestBook_ManyEndpointsOfOneObject_AreRecordedInLinearTime(t *testing.T) {
	record := func(endpoints int) time.Duration {
		healths := make([]farpointv1.EndpointHealth, endpoints)
		for i := range healths {
			healths[i] = unhealthy
		}
		object, b := externalService("a"), newBook()
		for i := range healths {
			address := fmt.Sprintf("10.0.%d.%d", i/250, i%250)
			object.Spec.Endpoints = append(object.Spec.Endpoints, farpointv1.Endpoint{Address: address})
			object.Status.Endpoints = append(object.Status.Endpoints, farpointv1.EndpointStatus{Name: address, Address: address, State: farpointv1.EndpointActive, Health: unhealthy})
		}
		started := time.Now()
		for range 3 {
			b.record(client.ObjectKeyFromObject(object), Evaluate(object), someTime)
		}
		return time.Since(started)
	}
	// 16 times as many take 16 times as long, or 256 times if it is quadratic.
	small, large := record(1000), record(16000)
	if large > 100*small {
		t.Errorf("1,000 endpoints take %v and 16,000 take %v", small, large)
	}
}

// short writes notices in a few characters: + begins, - recovered, ~ replaced, ? unwatched.
func short(list []notice) string {
	text := ""
	for _, n := range list {
		mark := map[ending]string{notEnded: "+", recovered: "-", replaced: "~", unwatched: "?"}[n.ending]
		zone := "0"
		if len(n.zone) > len("zone-") {
			zone = n.zone[len("zone-"):]
		}
		text += fmt.Sprintf("%s%s/%s ", mark, n.object.Name, zone)
	}
	return text
}
