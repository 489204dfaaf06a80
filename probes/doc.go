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

// Package probes is the contract of the probe engine: what a prober is, whose its target is,
// and what one probe says.
//
// A [Prober] makes one check of one endpoint and returns a [Result]; its reasons are a closed
// set. The packages below it make probes, schedule them and evaluate their results:
//
//	scheduler → guard, health, overload, transport → resolver → socket → localnet
//	protocol  → transport, resolver, egress, cpulimit
//
// All of them may import this one. None knows Kubernetes.
package probes
