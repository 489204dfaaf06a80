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

// ReasonError says what a probe was doing when it failed. Its reason counts unless the error
// itself is an error of the network.
type ReasonError struct {
	Reason Reason
	// Code is that of the result; 0 unless the reason is ReasonStatus.
	Code uint16
	Err  error
}

func (e *ReasonError) Error() string { return e.Err.Error() }

func (e *ReasonError) Unwrap() error { return e.Err }

// ResultError is an error that has a result for the endpoint.
type ResultError interface {
	error
	ProbeResult() Result
}
