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
	"net"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

const (
	serving    = grpc_health_v1.HealthCheckResponse_SERVING
	notServing = grpc_health_v1.HealthCheckResponse_NOT_SERVING
)

// grpcBackend is a server of grpc-go with nothing but its health service.
func grpcBackend() (states *health.Server, address string) {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	server := grpc.NewServer()
	states = health.NewServer()
	grpc_health_v1.RegisterHealthServer(server, states)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	DeferCleanup(func() {
		server.Stop()
		Eventually(ended).Should(Receive(Or(BeNil(), MatchError(grpc.ErrServerStopped))))
	})
	return states, listener.Addr().String()
}

// sliceEvent is a watch event of a slice with one endpoint.
type sliceEvent struct {
	service string
	ready   bool
}

// readinessIn watches the slices of a namespace.
func readinessIn(ctx context.Context, namespace string) <-chan sliceEvent {
	GinkgoHelper()
	watcher, err := client.NewWithWatch(adminConfig, client.Options{Scheme: k8s.Scheme()})
	Expect(err).NotTo(HaveOccurred())
	events, err := watcher.Watch(ctx, &discoveryv1.EndpointSliceList{}, client.InNamespace(namespace))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(events.Stop)
	seen := make(chan sliceEvent, 1000)
	go func() {
		for event := range events.ResultChan() {
			if slice, ok := event.Object.(*discoveryv1.EndpointSlice); ok && len(slice.Endpoints) == 1 {
				seen <- sliceEvent{slice.Labels[discoveryv1.LabelServiceName], *slice.Endpoints[0].Conditions.Ready}
			}
		}
	}()
	return seen
}

var _ = Describe("a watch of a gRPC server's health", func() {
	It("publishes at once what the server reports", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace := newNamespace(ctx)
		states, address := grpcBackend()
		seen := readinessIn(ctx, namespace)
		const services = 11
		var objects []*farpointv1.ExternalService
		for i := range services {
			name := fmt.Sprintf("cart-%d", i)
			states.SetServingStatus(name, serving)
			object := externalService(namespace, name, farpointv1.HealthCheckURL("grpc://"+address))
			object.Spec.HealthCheck.GRPC = &farpointv1.GRPCHealthCheck{Service: name, Watch: true}
			// By probes alone it would take a minute and more.
			object.Spec.HealthCheckInterval = &metav1.Duration{Duration: 30 * time.Second}
			object.Spec.HealthCheck.FastInterval = &metav1.Duration{Duration: 30 * time.Second}
			create(ctx, service(namespace, name), object)
			objects = append(objects, object)
		}
		for i := range services {
			Eventually(column(ctx, objects[i])).Should(Equal("1/1"))
		}
		var down, up []time.Duration
		for i := range services {
			name := fmt.Sprintf("cart-%d", i)
			down = append(down, timed(seen, sliceEvent{name, false}, func() { states.SetServingStatus(name, notServing) }))
			Eventually(endpointReason(ctx, objects[i])).Should(Equal("NotServing"))
			up = append(up, timed(seen, sliceEvent{name, true}, func() { states.SetServingStatus(name, serving) }))
		}
		slices.Sort(down)
		slices.Sort(up)
		AddReportEntry("from SetServingStatus to the slice", fmt.Sprintf("not serving: median %v, slowest %v; serving: median %v, slowest %v",
			down[services/2], down[services-1], up[services/2], up[services-1]))
		Expect(down[services/2]).To(BeNumerically("<", 10*time.Second), "by probes it would have taken more than 30s")
		Expect(up[services/2]).To(BeNumerically("<", 10*time.Second))
	})
})

// timed returns the time from an act to the event that follows it.
func timed(seen <-chan sliceEvent, want sliceEvent, act func()) time.Duration {
	GinkgoHelper()
	for len(seen) > 0 {
		<-seen
	}
	start := time.Now()
	act()
	Eventually(seen).Should(Receive(Equal(want)))
	return time.Since(start)
}

// endpointReason is that of the first endpoint in the status.
func endpointReason(ctx context.Context, object *farpointv1.ExternalService) func() string {
	return func() string {
		endpoints := now(ctx, object).Status.Endpoints
		if len(endpoints) == 0 {
			return ""
		}
		return endpoints[0].Reason
	}
}
