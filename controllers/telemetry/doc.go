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

// Package telemetry holds the metrics of what the operator publishes.
//
// [PublishMetrics] are fed where slices are written. [StateCollector] reads the status of each
// ExternalService whenever Prometheus asks, so that the series of an object end with it;
// [ObjectCounters] counts what no status says. What the probes measure belongs to package
// probes.
//
// The package reads ExternalServices and writes nothing.
package telemetry
