package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strconv"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/handlers/fieldmanager"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"sigs.k8s.io/yaml"
)

// place is what a request is about: all objects of the kind without a name.
type place struct {
	*kind
	namespace   string
	name        string
	subresource string
}

func (p place) key() string { return p.namespace + "/" + p.name }

func (p place) group() schema.GroupResource {
	return schema.GroupResource{Group: p.GroupVersionKind.Group, Resource: p.Name}
}

// edit makes what shall be there from what is there, if anything is.
type edit func(live *object) (*unstructured.Unstructured, error)

// parsed is the object in the body, owned by the manager as a whole.
func (p place) parsed(body []byte, manager string) (edit, *unstructured.Unstructured, error) {
	obj := &unstructured.Unstructured{}
	if err := json.Unmarshal(body, &obj.Object); err != nil {
		return nil, nil, apierrors.NewBadRequest(err.Error())
	}
	if obj.GroupVersionKind() != p.GroupVersionKind {
		return nil, nil, apierrors.NewBadRequest("the body is of another kind: " + obj.GroupVersionKind().String())
	}
	return func(live *object) (*unstructured.Unstructured, error) {
		return p.owned(obj.Object, live, manager)
	}, obj, nil
}

func (p place) owned(obj content, live *object, manager string) (*unstructured.Unstructured, error) {
	read, err := p.complete(obj)
	if err != nil {
		return nil, err
	}
	former := p.nothing()
	if live != nil {
		former = live.content
	}
	made := p.managers[p.subresource].UpdateNoErrors(
		former, &unstructured.Unstructured{Object: read}, manager,
	)
	return made.(*unstructured.Unstructured), nil
}

// applied is server-side apply.
func (p place) applied(patch []byte, manager string, force bool) (edit, error) {
	text := patch
	// JSON is YAML too, and much quicker to read.
	if !bytes.HasPrefix(patch, []byte("{")) {
		var err error
		if text, err = yaml.YAMLToJSON(patch); err != nil {
			return nil, apierrors.NewBadRequest("error decoding YAML: " + err.Error())
		}
	}
	return func(live *object) (*unstructured.Unstructured, error) {
		wanted := &unstructured.Unstructured{}
		if err := json.Unmarshal(text, &wanted.Object); err != nil {
			return nil, apierrors.NewBadRequest("error decoding YAML: " + err.Error())
		}
		former := p.nothing()
		if live != nil {
			former = live.content.DeepCopy()
		}
		made, err := p.managers[p.subresource].Apply(former, wanted, manager, force)
		if err != nil {
			return nil, err
		}
		read, err := p.complete(made.(*unstructured.Unstructured).Object)
		return &unstructured.Unstructured{Object: read}, err
	}, nil
}

// patched is a JSON patch or a merge patch.
func (p place) patched(as types.PatchType, patch []byte, manager string) edit {
	return func(live *object) (*unstructured.Unstructured, error) {
		var text bytes.Buffer
		live.encode(&text, whole)
		result, err := patchedText(as, text.Bytes(), patch)
		if err != nil {
			return nil, err
		}
		obj := content{}
		if err := json.Unmarshal(result, &obj); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		return p.owned(obj, live, manager)
	}
}

func patchedText(as types.PatchType, text, patch []byte) ([]byte, error) {
	if as == types.MergePatchType {
		result, err := jsonpatch.MergePatch(text, patch)
		if err == jsonpatch.ErrBadJSONPatch {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		return result, err
	}
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	result, err := operations.Apply(text)
	if err != nil {
		return nil, apierrors.NewGenericServerResponse(
			http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false,
		)
	}
	return result, nil
}

// create stores what is made of nothing.
func (s *server) create(p place, made edit) (*object, error) {
	p.Lock()
	defer p.Unlock()
	if p.objects[p.key()] != nil {
		return nil, apierrors.NewAlreadyExists(p.group(), p.name)
	}
	return s.begun(p, made)
}

// update stores what is made of what is there, or of nothing if it `creates`; and tells whether it
// was created.
func (s *server) update(p place, creates bool, made edit) (*object, bool, error) {
	p.Lock()
	defer p.Unlock()
	live := p.objects[p.key()]
	if live == nil {
		if !creates || p.subresource != "" {
			return nil, false, apierrors.NewNotFound(p.group(), p.name)
		}
		stored, err := s.begun(p, made)
		return stored, true, err
	}
	obj, err := made(live)
	if err != nil {
		return nil, false, err
	}
	if obj, err = p.updated(obj, live.content); err != nil {
		return nil, false, err
	}
	var same runtime.Object
	same, err = fieldmanager.IgnoreManagedFieldsTimestampsTransformer(
		context.Background(), obj, live.content,
	)
	if err != nil {
		return nil, false, err
	}
	obj = same.(*unstructured.Unstructured)
	if reflect.DeepEqual(obj.Object, live.content.Object) {
		return live, false, nil
	}
	stored, err := s.store(p, obj, live)
	return stored, false, err
}

func (s *server) begun(p place, made edit) (*object, error) {
	obj, err := made(nil)
	if err != nil {
		return nil, err
	}
	if obj.GetUID() != "" {
		return nil, apierrors.NewConflict(p.group(), p.name, fmt.Errorf(
			"uid mismatch: the provided object specified uid %s, and no existing object was found",
			obj.GetUID(),
		))
	}
	if err := p.settle(obj); err != nil {
		return nil, err
	}
	obj.SetUID(uuid.NewUUID())
	obj.SetCreationTimestamp(metav1.Now().Rfc3339Copy())
	obj.SetDeletionTimestamp(nil)
	obj.SetGeneration(0)
	if p.counted != nil {
		obj.SetGeneration(1)
	}
	if p.hasStatus {
		delete(obj.Object, "status")
	}
	if p.noStatus != nil {
		obj.Object["status"] = runtime.DeepCopyJSON(p.noStatus)
	}
	if p.begin != nil {
		if err := p.begin(s, obj.Object); err != nil {
			return nil, err
		}
	}
	if p.custom {
		if obj.Object, err = p.complete(obj.Object); err != nil {
			return nil, err
		}
	}
	return s.store(p, obj, nil)
}

// updated is the object with all that a write of this (sub)resource can't change as it is.
func (p place) updated(obj, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if err := p.settle(obj); err != nil {
		return nil, err
	}
	if obj.GetResourceVersion() != live.GetResourceVersion() {
		return nil, apierrors.NewConflict(p.group(), p.name, fmt.Errorf(registry.OptimisticLockErrorMsg))
	}
	if p.subresource == "status" && p.custom {
		return p.told(obj, live)
	}
	if obj.GetUID() != "" && obj.GetUID() != live.GetUID() {
		path := field.NewPath("metadata", "uid")
		return nil, apierrors.NewInvalid(p.GroupVersionKind.GroupKind(), p.name, field.ErrorList{
			field.Invalid(path, string(obj.GetUID()), "field is immutable"),
		})
	}
	obj.SetUID(live.GetUID())
	obj.SetCreationTimestamp(live.GetCreationTimestamp())
	obj.SetDeletionTimestamp(nil)
	obj.SetGeneration(live.GetGeneration())
	if p.subresource == "status" {
		return p.told(obj, live)
	}
	for _, name := range p.fixed {
		if !reflect.DeepEqual(obj.Object["spec"].(content)[name], live.Object["spec"].(content)[name]) {
			return nil, notServed("changes of " + name)
		}
	}
	if p.hasStatus {
		delete(obj.Object, "status")
		if status, found := live.Object["status"]; found {
			obj.Object["status"] = status
		}
	}
	if p.counted != nil && !reflect.DeepEqual(p.counted(obj.Object), p.counted(live.Object)) {
		obj.SetGeneration(live.GetGeneration() + 1)
	}
	return obj, nil
}

// told is `live` with another status.
func (p place) told(obj, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	made := p.nothing()
	made.Object["metadata"] = runtime.DeepCopyJSON(live.Object["metadata"].(content))
	made.SetManagedFields(obj.GetManagedFields())
	if !p.custom && !reflect.DeepEqual(made.Object["metadata"], obj.Object["metadata"]) {
		return nil, notServed("changes of metadata by a write of the status")
	}
	if status, found := obj.Object["status"]; found {
		made.Object["status"] = status
	}
	if p.custom {
		// What has been taken from it may have a default.
		var err error
		if made.Object, err = p.complete(made.Object); err != nil {
			return nil, err
		}
	}
	for name, value := range live.Object {
		if name != "metadata" && name != "status" {
			made.Object[name] = value
		}
	}
	return made, nil
}

// settle gives the object the namespace of its place; it must not name another one.
func (p place) settle(obj *unstructured.Unstructured) error {
	if obj.GetName() != p.name {
		return apierrors.NewBadRequest(fmt.Sprintf(
			"the name of the object (%s) does not match the name on the URL (%s)", obj.GetName(), p.name,
		))
	}
	if obj.GetNamespace() != "" && obj.GetNamespace() != p.namespace {
		return apierrors.NewBadRequest(
			"the namespace of the provided object does not match the namespace sent on the request",
		)
	}
	obj.SetNamespace(p.namespace)
	return nil
}

// store is called with the lock held, hence versions rise within a kind.
func (s *server) store(p place, obj *unstructured.Unstructured, live *object) (*object, error) {
	version := s.version.Add(1)
	obj.SetResourceVersion(strconv.FormatInt(version, 10))
	stored, err := newObject(p.kind, obj)
	if err != nil {
		return nil, err
	}
	p.put(p.key(), change{version, live, stored})
	return stored, nil
}

func (s *server) delete(p place) (*object, error) {
	p.Lock()
	defer p.Unlock()
	live := p.objects[p.key()]
	if live == nil {
		return nil, apierrors.NewNotFound(p.group(), p.name)
	}
	if len(live.content.GetFinalizers()) > 0 {
		return nil, notServed("deletions that wait for finalizers")
	}
	version := s.version.Add(1)
	p.put(p.key(), change{version: version, before: live.at(version)})
	return live, nil
}
