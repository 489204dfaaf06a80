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
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// sink is a server that records the types of the events that are posted to it.
type sink struct {
	*httptest.Server
	mu     sync.Mutex
	types  []string
	ids    map[string]int
	status int
}

func newSink(t *testing.T) *sink {
	s := &sink{ids: map[string]int{}, status: http.StatusOK}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		var event cloudEvent
		if err := json.NewDecoder(request.Body).Decode(&event); err != nil {
			t.Error(err)
		}
		if s.status == http.StatusOK {
			s.types = append(s.types, strings.TrimPrefix(event.Type, "dev.farpoint."))
			s.ids[event.ID]++
		}
		w.WriteHeader(s.status)
	}))
	t.Cleanup(s.Close)
	return s
}

// answer sets the status of the answers to come.
func (s *sink) answer(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

// received returns the types of the events since the last call.
func (s *sink) received() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.types = nil }()
	return strings.Join(s.types, " ")
}

// newLeader returns the webhook of a replica that has just begun to lead.
func newLeader(t *testing.T, cluster client.Client, url string) *webhook {
	t.Helper()
	leader := &webhook{url: url, client: http.DefaultClient, posted: map[alert]postedAlert{}, record: newRecord(cluster, "system", url, maxRecords)}
	list, err := leader.record.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(leader.posted, list)
	return leader
}

func endpointAlert(since time.Time, how ending) notice {
	n := notice{alert: alert{EndpointDown, types.NamespacedName{Namespace: "shop", Name: "api"}, "192.0.2.1:80", "zone-1", "Timeout"}, since: since, ending: how}
	if how != notEnded {
		n.ended = since.Add(time.Minute)
	}
	return n
}

func TestWebhook_NextLeader_PostsTheEndOfWhatWasPosted(t *testing.T) {
	for how, want := range map[ending]string{recovered: "endpoint.up", unwatched: "endpoint.unwatched", replaced: ""} {
		cluster, to := fake.NewFakeClient(), newSink(t)
		first := newLeader(t, cluster, to.URL)
		if err := first.deliver(t.Context(), []notice{endpointAlert(someTime, notEnded)}, someTime); err != nil {
			t.Fatal(err)
		}
		second := newLeader(t, cluster, to.URL)
		if err := second.deliver(t.Context(), []notice{endpointAlert(someTime, notEnded)}, someTime); err != nil {
			t.Fatal(err)
		}
		if got := to.received(); got != "endpoint.down" {
			t.Errorf("before the end: %q, want the beginning once", got)
		}
		if err := second.deliver(t.Context(), []notice{endpointAlert(someTime, how)}, someTime); err != nil {
			t.Fatal(err)
		}
		if got := to.received(); got != want {
			t.Errorf("ending %d: %q, want %q", how, got, want)
		}
		if left := newLeader(t, cluster, to.URL).posted; len(left) != 0 {
			t.Errorf("ending %d: %v is left in the record", how, left)
		}
	}
}

func TestWebhook_EndThatCouldNotBePosted_IsPostedByTheNextLeader(t *testing.T) {
	cluster, to := fake.NewFakeClient(), newSink(t)
	first := newLeader(t, cluster, to.URL)
	if err := first.deliver(t.Context(), []notice{endpointAlert(someTime, notEnded)}, someTime); err != nil {
		t.Fatal(err)
	}
	to.answer(http.StatusServiceUnavailable)
	if err := first.deliver(t.Context(), []notice{endpointAlert(someTime, recovered)}, someTime); err == nil {
		t.Fatal("a refused event counts as delivered")
	}
	to.answer(http.StatusOK)
	to.received()
	if err := newLeader(t, cluster, to.URL).deliver(t.Context(), []notice{endpointAlert(someTime, recovered)}, someTime); err != nil {
		t.Fatal(err)
	}
	if got := to.received(); got != "endpoint.up" {
		t.Errorf("%q, want the end", got)
	}
}

// A replica may end between a post and the answer to it.
func TestWebhook_BeginningThatMayHaveArrived_IsRepeatedOrEnded(t *testing.T) {
	for how, want := range map[ending]string{notEnded: "endpoint.down endpoint.down", recovered: "endpoint.down endpoint.up"} {
		cluster, to := fake.NewFakeClient(), newSink(t)
		first := newLeader(t, cluster, to.URL)
		first.client = &http.Client{Transport: lostAnswers{}}
		if err := first.deliver(t.Context(), []notice{endpointAlert(someTime, notEnded)}, someTime); err == nil {
			t.Fatal("a lost answer counts as delivered")
		}
		if err := newLeader(t, cluster, to.URL).deliver(t.Context(), []notice{endpointAlert(someTime, how)}, someTime); err != nil {
			t.Fatal(err)
		}
		if got := to.received(); got != want {
			t.Errorf("ending %d: %q, want %q", how, got, want)
		}
		if how == notEnded && len(to.ids) != 1 {
			t.Errorf("the repetition has another id: %v", to.ids)
		}
	}
}

// lostAnswers loses the answers to what it sends.
type lostAnswers struct{}

func (lostAnswers) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	response.Body.Close()
	return nil, errors.New("the answer is lost")
}

func TestWebhook_RecordCannotBeWritten_StillPosts(t *testing.T) {
	refused := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
			return errors.New("quota")
		},
	}).Build()
	to := newSink(t)
	leader := newLeader(t, refused, to.URL)
	for _, how := range []ending{notEnded, recovered} {
		if err := leader.deliver(t.Context(), []notice{endpointAlert(someTime, how)}, someTime); err != nil {
			t.Fatal(err)
		}
	}
	if got := to.received(); got != "endpoint.down endpoint.up" {
		t.Errorf("%q", got)
	}
}

func TestWebhook_NothingNew_WritesNothing(t *testing.T) {
	writes := 0
	cluster := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, to client.WithWatch, object client.Object, options ...client.CreateOption) error {
			writes++
			return to.Create(ctx, object, options...)
		},
		Update: func(ctx context.Context, to client.WithWatch, object client.Object, options ...client.UpdateOption) error {
			writes++
			return to.Update(ctx, object, options...)
		},
	}).Build()
	leader := newLeader(t, cluster, newSink(t).URL)
	for range 5 {
		if err := leader.deliver(t.Context(), []notice{endpointAlert(someTime, notEnded)}, someTime); err != nil {
			t.Fatal(err)
		}
	}
	if writes != 2 {
		t.Errorf("%d writes, want one before the post and one after it", writes)
	}
}

func TestRecord_MoreThanFits_LeavesOutTheOldest(t *testing.T) {
	list := map[alert]postedAlert{}
	for i := range 20_000 {
		key := alert{EndpointDown, types.NamespacedName{Namespace: "shop", Name: fmt.Sprintf("api-%d", i*7919)}, fmt.Sprintf("10.%d.%d.1:443", i/250, i%250), "", "Timeout"}
		list[key] = postedAlert{someTime.Add(time.Duration(i) * time.Second), true}
	}
	content, err := encodeRecord(list, 32<<10)
	if err != nil || len(content) > 32<<10 {
		t.Fatalf("%d bytes, %v", len(content), err)
	}
	kept, err := decodeRecord(content)
	if err != nil || len(kept) < 1000 {
		t.Fatalf("%d of %d are kept, %v", len(kept), len(list), err)
	}
	oldest := slices.MinFunc(slices.Collect(maps.Values(kept)), func(x, y postedAlert) int { return x.since.Compare(y.since) }).since
	if want := someTime.Add(time.Duration(len(list)-len(kept)) * time.Second); !oldest.Equal(want) {
		t.Errorf("the oldest that is kept began at %v, want %v", oldest, want)
	}
	whole, err := encodeRecord(list, maxRecords)
	if err != nil {
		t.Fatal(err)
	}
	if all, err := decodeRecord(whole); err != nil || !maps.Equal(all, list) {
		t.Errorf("%d alerts in %d bytes become %d, %v", len(list), len(whole), len(all), err)
	}
}

func TestRecord_ContentThatSomebodyEdited_CountsAsEmpty(t *testing.T) {
	cluster := fake.NewFakeClient()
	r := newRecord(cluster, "system", "http://hook", maxRecords)
	for _, content := range []string{"", "no gzip", "\x1f\x8b\x08\x00garbage"} {
		stored := &corev1.ConfigMap{BinaryData: map[string][]byte{r.key: []byte(content)}}
		stored.Namespace, stored.Name = r.object.Namespace, r.object.Name
		_ = cluster.Delete(t.Context(), stored)
		if err := cluster.Create(t.Context(), stored); err != nil {
			t.Fatal(err)
		}
		if list, err := r.load(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("%q: %v, %v", content, list, err)
		}
	}
}
