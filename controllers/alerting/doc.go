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

// Package alerting reports what is wrong with ExternalServices to Alertmanagers and
// webhooks, for clusters without Prometheus rules.
//
// It reads nothing but ExternalServices. [Evaluate] derives from an object's spec and status,
// without any memory, which alerts hold and how the others have ended; a book collects that for
// all objects, and each receiver has a queue of its own, so that a receiver that is away delays
// no other.
//
// Alertmanager forgets an alert that is not repeated. A webhook does not: the end of an alert has
// to be posted as well. So what was posted to each webhook is stored in a ConfigMap, by which the
// next leader knows which ends to post, also for an object that is gone by then.
//
// The package knows neither probes nor EndpointSlices.
package alerting
