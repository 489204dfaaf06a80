//go:build linux

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

package scale

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/test/bench/statistics"
)

// watchedServices are those of a gRPC server that take turns in changing their state, each
// twice: who does it more often is flapping.
const watchedServices = 15

// grpcWatch measures the time from a gRPC server's change of its own state to the slice's
// arrival at a consumer, where the operator watches it.
func (s *scene) grpcWatch(ctx context.Context) error {
	s.progress("watch a gRPC server")
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server, states := grpc.NewServer(), health.NewServer()
	grpc_health_v1.RegisterHealthServer(server, states)
	go func() { _ = server.Serve(listener) }() // it ends with Stop, which is no news
	defer server.Stop()
	s.watch.mu.Lock()
	before := s.watch.readyCount
	s.watch.mu.Unlock()
	for number := range watchedServices {
		states.SetServingStatus(watchedName(number), grpc_health_v1.HealthCheckResponse_SERVING)
		if err := s.createWatched(ctx, number, listener.Addr().String()); err != nil {
			return err
		}
	}
	if err := s.watch.readyEndpoints(ctx, before+watchedServices, 30*time.Second); err != nil {
		return err
	}
	if err := pause(ctx, time.Second); err != nil { // changes soon after another are published together
		return err
	}
	var took []time.Duration
	for _, state := range []grpc_health_v1.HealthCheckResponse_ServingStatus{grpc_health_v1.HealthCheckResponse_NOT_SERVING, grpc_health_v1.HealthCheckResponse_SERVING} {
		for number := range watchedServices {
			start := time.Now()
			states.SetServingStatus(watchedName(number), state)
			seen, err := s.watch.changeAfter(ctx, watchedAddress(number), start, 20*time.Second)
			if err != nil {
				return err
			}
			took = append(took, seen.Sub(start))
		}
	}
	s.report.Add("grpc_watch_to_slice_ms_p50", statistics.Milliseconds(statistics.Percentile(took, 50)))
	s.report.Add("grpc_watch_to_slice_p50_vs_bare", statistics.Percentile(took, 50).Seconds()/s.floor.p50.Seconds())
	s.report.Spread("grpc_watch_to_slice_ms_p50", []float64{statistics.Milliseconds(slices.Min(took)), statistics.Milliseconds(slices.Max(took))})
	return nil
}

func watchedName(number int) string    { return fmt.Sprintf("bench-grpc-%d", number) }
func watchedAddress(number int) string { return fmt.Sprintf("198.51.100.%d", number+1) }

// createWatched makes an object that would need a minute to find out by probes alone.
func (s *scene) createWatched(ctx context.Context, number int, server string) error {
	name := metav1.ObjectMeta{Namespace: "default", Name: watchedName(number)}
	service := &corev1.Service{ObjectMeta: name, Spec: corev1.ServiceSpec{
		ClusterIP: corev1.ClusterIPNone,
		Ports:     []corev1.ServicePort{{Name: "main", Port: 8080}},
	}}
	if err := s.cluster.client.Create(ctx, service); err != nil {
		return err
	}
	return s.cluster.client.Create(ctx, &farpointv1.ExternalService{ObjectMeta: name, Spec: farpointv1.ExternalServiceSpec{
		HealthCheckInterval: &metav1.Duration{Duration: time.Minute},
		HealthCheck: farpointv1.HealthCheck{
			FastInterval: &metav1.Duration{Duration: 30 * time.Second},
			GRPC:         &farpointv1.GRPCHealthCheck{Service: watchedName(number), Watch: true},
		},
		Endpoints: []farpointv1.Endpoint{{
			Address: watchedAddress(number), HealthCheckURL: farpointv1.HealthCheckURL("grpc://" + server),
		}},
	}})
}

// changeAfter waits until a consumer has received a change of an endpoint, and returns when.
func (w *sliceWatch) changeAfter(ctx context.Context, address string, since time.Time, longest time.Duration) (time.Time, error) {
	for end := time.Now().Add(longest); time.Now().Before(end); {
		if at := w.changedAt(address); at.After(since) {
			return at, nil
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return time.Time{}, err
		}
	}
	return time.Time{}, errors.New("the slice of " + address + " does not change")
}
