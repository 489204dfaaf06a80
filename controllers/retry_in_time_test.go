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
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
)

func TestRetryInTime_RefusedWrite_IsRetriedWhenADrainEnds(t *testing.T) {
	refused := apierrors.NewForbidden(schema.GroupResource{Resource: "externalservices"}, "a", errors.New("no"))
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "externalservices"}, "a", errors.New("newer"))
	for _, test := range []struct {
		name  string
		due   time.Duration
		err   error
		want  time.Duration
		isErr bool
	}{
		{"nothing is due", 0, refused, 0, true},
		{"a drain ends soon", 3 * time.Second, refused, 3 * time.Second, false},
		{"a drain ends after the next try", time.Minute, refused, 0, true},
		{"somebody was faster", 3 * time.Second, conflict, 0, true},
	} {
		got, err := retryInTime(t.Context(), ctrl.Result{RequeueAfter: test.due}, test.err)
		if got.RequeueAfter != test.want || (err != nil) != test.isErr {
			t.Errorf("%s: again after %v, error %v", test.name, got.RequeueAfter, err)
		}
	}
}
