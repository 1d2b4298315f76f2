package main

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/coordination/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/apis/core/v1/helper/qos"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

type content = map[string]interface{}

// kind is a resource that is served, and all objects of it.
type kind struct {
	schema.GroupVersionKind
	metav1.APIResource
	listKind  string
	custom    bool
	hasStatus bool
	// A DELETE takes the object away at once, and is answered with a Status.
	deletes bool
	// Fields to select by, beside the name and the namespace.
	fields []string
	// Paths beside the spec that a write of the status leaves as they are, and nobody owns by it.
	kept []fieldpath.Path
	// What raises the generation when it changes; nil: the kind counts none.
	counted func(obj content) interface{}
	// The object as the API server reads it: without what it doesn't know, with its defaults.
	complete func(obj content) (content, error)
	// An object that says nothing, and its status.
	zero     content
	noStatus content
	// What the API server writes into a new object by itself.
	begin func(s *server, obj content) error
	// Fields of the spec whose change would have it write others.
	fixed []string
	// Who owns which fields: by writes of the object, and of its status.
	managers map[string]*managedfields.FieldManager
	collection
}

func spec(obj content) interface{} { return obj["spec"] }

func specAndAnnotations(obj content) interface{} {
	annotations, _, _ := unstructured.NestedFieldNoCopy(obj, "metadata", "annotations")
	return []interface{}{obj["spec"], annotations}
}

func builtin() []*kind {
	of := func(group, version, name, plural string) *kind {
		return &kind{
			GroupVersionKind: schema.GroupVersionKind{Group: group, Version: version, Kind: name},
			APIResource:      metav1.APIResource{Name: plural, Namespaced: true},
		}
	}
	namespace := of("", "v1", "Namespace", "namespaces")
	namespace.Namespaced, namespace.hasStatus, namespace.begin = false, true, beginNamespace
	configMap := of("", "v1", "ConfigMap", "configmaps")
	configMap.deletes = true
	secret := of("", "v1", "Secret", "secrets")
	secret.deletes, secret.fields = true, []string{"type"}
	pod := of("", "v1", "Pod", "pods")
	pod.hasStatus, pod.counted, pod.fields = true, spec, []string{"spec.nodeName", "status.phase"}
	pod.begin = beginPod
	pod.kept = []fieldpath.Path{
		fieldpath.MakePathOrDie("metadata", "deletionTimestamp"),
		fieldpath.MakePathOrDie("metadata", "ownerReferences"),
	}
	service := of("", "v1", "Service", "services")
	service.hasStatus, service.begin = true, beginService
	service.fixed = []string{"type", "clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"}
	deployment := of("apps", "v1", "Deployment", "deployments")
	deployment.hasStatus, deployment.counted = true, specAndAnnotations
	deployment.kept = []fieldpath.Path{fieldpath.MakePathOrDie("metadata", "labels")}
	budget := of("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
	budget.hasStatus, budget.counted = true, spec
	return []*kind{
		namespace, configMap, secret, pod, service, deployment, budget,
		of("", "v1", "Event", "events"),
		of("", "v1", "ServiceAccount", "serviceaccounts"),
		of("coordination.k8s.io", "v1", "Lease", "leases"),
		of("rbac.authorization.k8s.io", "v1", "Role", "roles"),
		of("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
	}
}

func (s *server) addBuiltin() error {
	schemas := applyconfigurations.NewTypeConverter(legacyscheme.Scheme)
	for _, each := range builtin() {
		each.SingularName = strings.ToLower(each.GroupVersionKind.Kind)
		each.listKind = each.GroupVersionKind.Kind + "List"
		each.complete = completeTyped(each.GroupVersionKind)
		empty, err := legacyscheme.Scheme.New(each.GroupVersionKind)
		if err != nil {
			return err
		}
		if each.zero, err = runtime.DefaultUnstructuredConverter.ToUnstructured(empty); err != nil {
			return err
		}
		each.noStatus, _ = each.zero["status"].(content)
		if err := s.add(each, schemas); err != nil {
			return err
		}
	}
	return nil
}

// completeTyped reads an object into its Go types and out again, as the API server does.
func completeTyped(gvk schema.GroupVersionKind) func(content) (content, error) {
	known, internal := legacyscheme.Scheme, schema.GroupVersion{Group: gvk.Group, Version: runtime.APIVersionInternal}
	return func(obj content) (content, error) {
		typed, err := known.New(gvk)
		if err != nil {
			return nil, err
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj, typed); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		known.Default(typed)
		for _, version := range []schema.GroupVersion{internal, gvk.GroupVersion()} {
			if typed, err = known.UnsafeConvertToVersion(typed, version); err != nil {
				return nil, apierrors.NewBadRequest(err.Error())
			}
		}
		return runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	}
}

func beginNamespace(_ *server, obj content) error {
	obj["spec"] = content{"finalizers": []interface{}{string(corev1.FinalizerKubernetes)}}
	obj["status"] = content{"phase": string(corev1.NamespaceActive)}
	return nil
}

func beginPod(_ *server, obj content) error {
	pod := &corev1.Pod{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj, pod); err != nil {
		return err
	}
	status := obj["status"].(content)
	status["phase"], status["qosClass"] = string(corev1.PodPending), string(qos.GetPodQOS(pod))
	return nil
}

func beginService(s *server, obj content) error {
	spec := obj["spec"].(content)
	headless := spec["clusterIP"] == corev1.ClusterIPNone
	if spec["type"] != string(corev1.ServiceTypeClusterIP) || spec["clusterIP"] != nil && !headless ||
		spec["ipFamilies"] != nil || spec["ipFamilyPolicy"] != nil {
		return notServed("Services but those of type ClusterIP whose address is left to the server")
	}
	spec["ipFamilies"] = []interface{}{string(corev1.IPv4Protocol)}
	spec["ipFamilyPolicy"] = string(corev1.IPFamilyPolicySingleStack)
	if headless {
		spec["clusterIPs"] = []interface{}{corev1.ClusterIPNone}
		return nil
	}
	number := s.addresses.Add(1)
	address := fmt.Sprintf("10.0.%d.%d", number>>8&255, number&255)
	spec["clusterIP"], spec["clusterIPs"] = address, []interface{}{address}
	return nil
}

func (s *server) add(made *kind, schemas managedfields.TypeConverter) error {
	made.APIResource.Kind = made.GroupVersionKind.Kind
	made.Verbs = metav1.Verbs{"create", "get", "list", "patch", "update", "watch"}
	if made.deletes {
		made.Verbs = append(made.Verbs, "delete")
	}
	made.collection = newCollection()
	made.managers = map[string]*managedfields.FieldManager{}
	ignored := map[string][]fieldpath.Path{"": nil}
	if made.hasStatus {
		ignored[""] = []fieldpath.Path{fieldpath.MakePathOrDie("status")}
		ignored["status"] = append(made.kept, fieldpath.MakePathOrDie("spec"))
	}
	for subresource, paths := range ignored {
		manager, err := managedfields.NewDefaultCRDFieldManager(
			schemas, asItIs{}, asItIs{}, made, made.GroupVersionKind, made.GroupVersion(), subresource,
			fieldpath.NewExcludeFilterSetMap(map[fieldpath.APIVersion]*fieldpath.Set{
				fieldpath.APIVersion(made.GroupVersion().String()): fieldpath.NewSet(paths...),
			}),
		)
		if err != nil {
			return err
		}
		made.managers[subresource] = manager
	}
	s.kinds[made.GroupVersion().String()+"/"+made.Name] = made
	s.order = append(s.order, made)
	return nil
}

// asItIs converts nothing: there is one version of each kind, and `complete` knows the defaults.
type asItIs struct{ runtime.ObjectConvertor }

func (asItIs) ConvertToVersion(obj runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	return obj, nil
}

func (asItIs) Default(runtime.Object) {}

// New is what the first write of an object is compared with.
func (k *kind) New(schema.GroupVersionKind) (runtime.Object, error) { return k.nothing(), nil }

func (k *kind) nothing() *unstructured.Unstructured {
	made := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(k.zero)}
	made.SetGroupVersionKind(k.GroupVersionKind)
	return made
}
