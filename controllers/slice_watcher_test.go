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

package controllers_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// sliceWatcher sees every change of a Service's slices.
type sliceWatcher struct {
	namespace, service string

	mu      sync.Mutex // guards what follows
	slices  map[string]*discoveryv1.EndpointSlice
	changed int
	// check finds faults in what there is after each change.
	check  func([]*discoveryv1.EndpointSlice) []string
	faults []string
}

func watchSlices(ctx context.Context, namespace, service string, check func([]*discoveryv1.EndpointSlice) []string) *sliceWatcher {
	GinkgoHelper()
	watcher, err := client.NewWithWatch(adminConfig, client.Options{Scheme: k8s.Scheme()})
	Expect(err).NotTo(HaveOccurred())
	seen := &sliceWatcher{namespace: namespace, service: service, slices: map[string]*discoveryv1.EndpointSlice{}, check: check}
	present := &discoveryv1.EndpointSliceList{}
	of := []client.ListOption{client.InNamespace(namespace), client.MatchingLabels{discoveryv1.LabelServiceName: service}}
	Expect(k8s.List(ctx, present, of...)).To(Succeed())
	for i := range present.Items {
		seen.slices[present.Items[i].Name] = &present.Items[i]
	}
	from := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: present.ResourceVersion}}
	events, err := watcher.Watch(ctx, &discoveryv1.EndpointSliceList{}, append(of, from)...)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(events.Stop)
	go func() {
		for event := range events.ResultChan() {
			if slice, ok := event.Object.(*discoveryv1.EndpointSlice); ok {
				seen.observe(event.Type, slice)
			}
		}
	}()
	return seen
}

func (w *sliceWatcher) observe(kind watch.EventType, slice *discoveryv1.EndpointSlice) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed++
	if w.slices[slice.Name] = slice; kind == watch.Deleted {
		delete(w.slices, slice.Name)
	}
	var present []*discoveryv1.EndpointSlice
	for _, s := range w.slices {
		present = append(present, s)
	}
	for _, fault := range w.check(present) {
		w.faults = append(w.faults, fmt.Sprintf("after %s was %s: %s", slice.Name, kind, fault))
	}
}

// expectNoFaults waits until all changes up to now have been seen.
func (w *sliceWatcher) expectNoFaults(ctx context.Context) {
	GinkgoHelper()
	Eventually(func() map[string]string {
		w.mu.Lock()
		defer w.mu.Unlock()
		return versionsOf(w.slices)
	}).Should(Equal(func() map[string]string {
		present := map[string]*discoveryv1.EndpointSlice{}
		for _, slice := range slicesFor(ctx, w.namespace, w.service) {
			present[slice.Name] = &slice
		}
		return versionsOf(present)
	}()))
	w.mu.Lock()
	defer w.mu.Unlock()
	Expect(w.faults).To(BeEmpty())
}

func versionsOf(slices map[string]*discoveryv1.EndpointSlice) map[string]string {
	versions := map[string]string{}
	for name, slice := range slices {
		versions[name] = slice.ResourceVersion
	}
	return versions
}

// absentOf finds out which of the addresses are not ready.
func absentOf(addresses map[string]string) func([]*discoveryv1.EndpointSlice) []string {
	return func(present []*discoveryv1.EndpointSlice) []string {
		ready := map[string]bool{}
		for _, slice := range present {
			for _, endpoint := range slice.Endpoints {
				ready[endpoint.Addresses[0]] = ready[endpoint.Addresses[0]] || letter(endpoint.Conditions.Ready) == "T"
			}
		}
		var faults []string
		for address := range addresses {
			if !ready[address] {
				faults = append(faults, address+" is missing")
			}
		}
		return faults
	}
}

// twice finds endpoints that are in two slices.
func twice(present []*discoveryv1.EndpointSlice) []string {
	seen := map[string]string{}
	var faults []string
	for _, slice := range present {
		for _, endpoint := range slice.Endpoints {
			address := endpoint.Addresses[0]
			if before, ok := seen[address]; ok {
				faults = append(faults, fmt.Sprintf("%s is in %s and %s", address, before, slice.Name))
			}
			seen[address] = slice.Name
		}
	}
	return faults
}

// lagging delays what watches of EndpointSlices bring.
func lagging(config *rest.Config, lag time.Duration) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			response, err := next.RoundTrip(request)
			if err == nil && strings.HasSuffix(request.URL.Path, "/endpointslices") && request.URL.Query().Get("watch") != "" {
				response.Body = delay(response.Body, lag)
			}
			return response, err
		})
	})
	return config
}

// delayed is a body whose bytes arrive later.
type delayed struct {
	io.ReadCloser
	lag    time.Duration
	chunks chan chunk
	rest   []byte
}

type chunk struct {
	bytes []byte
	err   error
	came  time.Time
}

func delay(body io.ReadCloser, lag time.Duration) io.ReadCloser {
	d := &delayed{ReadCloser: body, lag: lag, chunks: make(chan chunk, 1<<16)}
	go func() {
		defer close(d.chunks)
		for {
			buffer := make([]byte, 32<<10)
			n, err := body.Read(buffer)
			d.chunks <- chunk{buffer[:n], err, time.Now()}
			if err != nil {
				return
			}
		}
	}()
	return d
}

func (d *delayed) Read(into []byte) (int, error) {
	for len(d.rest) == 0 {
		next, ok := <-d.chunks
		if !ok {
			return 0, io.EOF
		}
		if next.err != nil {
			return 0, next.err
		}
		time.Sleep(time.Until(next.came.Add(d.lag)))
		d.rest = next.bytes
	}
	n := copy(into, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}
