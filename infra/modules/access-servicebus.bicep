// What an app may do on the bus: queue by queue.

@description('The name of the namespace.')
param namespaceName string

@description('Who may.')
param principalId string

@description('The services it runs.')
param services string[]

var needs = loadJsonContent('../services.json')
var topicName = loadJsonContent('../topology.json').topic.name
var triggers = union(flatten(map(services, service => (needs[service].triggers))), [])
var receives = filter(
  union(flatten(map(services, service => (needs[service].receives))), []),
  queue => !contains(triggers, queue)
)
var sends = union(flatten(map(services, service => (needs[service].sends))), [])
var targets = filter(sends, name => name != topicName)

// https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/integration
var owner = '090c5cfd-751d-490a-894a-3ce6f1109419' // Azure Service Bus Data Owner
var receiver = '4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0' // Azure Service Bus Data Receiver
var sender = '69a216fc-b8fb-44d8-bc22-1f3c2cd27a39' // Azure Service Bus Data Sender

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = {
  name: namespaceName
}

resource triggerQueues 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' existing = [
  for queue in triggers: {
    parent: namespace
    name: queue
  }
]

resource otherQueues 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' existing = [
  for queue in receives: {
    parent: namespace
    name: queue
  }
]

// To start instances Azure counts a queue's messages with the app's identity, which takes the right to manage the queue.
resource triggering 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (queue, i) in triggers: {
    scope: triggerQueues[i]
    name: guid(triggerQueues[i].id, principalId, owner)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', owner)
      description: 'Azure Service Bus Data Owner'
    }
  }
]

resource receiving 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (queue, i) in receives: {
    scope: otherQueues[i]
    name: guid(otherQueues[i].id, principalId, receiver)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', receiver)
      description: 'Azure Service Bus Data Receiver'
    }
  }
]

resource targetQueues 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' existing = [
  for queue in targets: {
    parent: namespace
    name: queue
  }
]

resource sending 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (queue, i) in targets: {
    scope: targetQueues[i]
    name: guid(targetQueues[i].id, principalId, sender)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', sender)
      description: 'Azure Service Bus Data Sender'
    }
  }
]

resource topic 'Microsoft.ServiceBus/namespaces/topics@2024-01-01' existing = {
  parent: namespace
  name: topicName
}

resource publishing 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (contains(sends, topicName)) {
  scope: topic
  name: guid(topic.id, principalId, sender)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', sender)
    description: 'Azure Service Bus Data Sender'
  }
}
