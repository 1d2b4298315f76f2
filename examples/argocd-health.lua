-- Health of DBProxy, DBProxyTargetGroup and DBProxyEndpoint for Argo CD; docs/gitops.md says where
-- to put it. `obj` is the resource; the conditions are those that kstatus reads.
local health = {status = "Progressing", message = "the operator has not seen it yet"}
local status = obj.status or {}
if status.observedGeneration ~= obj.metadata.generation then
  return health
end
local found = {}
for _, condition in ipairs(status.conditions or {}) do
  found[condition.type] = condition
end
local ready, stalled, reconciling = found.Ready, found.Stalled, found.Reconciling
if stalled and stalled.status == "True" then
  health.status = "Degraded"
  health.message = stalled.reason .. ": " .. stalled.message
elseif ready and ready.status == "True" then
  health.status = "Healthy"
  health.message = ready.message
  if ready.observedGeneration ~= obj.metadata.generation then
    health.status = "Progressing"
    health.message = "the new generation is on its way to the pods"
  end
elseif reconciling and reconciling.status == "True" then
  health.message = reconciling.reason .. ": " .. reconciling.message
elseif ready then
  health.status = "Degraded"
  health.message = ready.reason .. ": " .. ready.message
end
return health
