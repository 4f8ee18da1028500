// Service Bus: the topic, one queue for each consumer, and the subscriptions that forward to them, as topology.json says.

@description('Where the namespace is.')
param location string

@description('Tags of every resource.')
param tags object

@description('The name of the namespace.')
param name string

@description('Premium has its own capacity and private endpoints; Standard answers 1,000 operations a second.')
param tier 'Standard' | 'Premium'

@description('Whether it can be reached from the internet at all (with a role, always); only Premium can be closed.')
param isPublic bool

var topology = loadJsonContent('../topology.json')

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' = {
  name: name
  location: location
  tags: tags
  sku: tier == 'Premium' ? { name: 'Premium', tier: 'Premium', capacity: 1 } : { name: 'Standard', tier: 'Standard' }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    publicNetworkAccess: isPublic ? 'Enabled' : 'Disabled'
  }
}

resource topic 'Microsoft.ServiceBus/namespaces/topics@2024-01-01' = {
  parent: namespace
  name: topology.topic.name
  properties: {
    requiresDuplicateDetection: true
    duplicateDetectionHistoryTimeWindow: 'PT${topology.topic.duplicate_detection_minutes}M'
    maxSizeInMegabytes: 5120
  }
}

resource queues 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' = [
  for queue in topology.queues: {
    parent: namespace
    name: queue.name
    properties: {
      lockDuration: 'PT${queue.lock_seconds}S'
      maxDeliveryCount: queue.max_delivery_count
      requiresDuplicateDetection: true
      duplicateDetectionHistoryTimeWindow: 'PT${queue.duplicate_detection_minutes}M'
      // Nothing is lost by getting old: a message waits until it was handled, or somebody looked at it.
      deadLetteringOnMessageExpiration: true
      maxSizeInMegabytes: 5120
    }
  }
]

resource subscriptions 'Microsoft.ServiceBus/namespaces/topics/subscriptions@2024-01-01' = [
  for subscription in topology.subscriptions: {
    parent: topic
    name: subscription.name
    properties: {
      forwardTo: subscription.forward_to
      deadLetteringOnFilterEvaluationExceptions: true
      deadLetteringOnMessageExpiration: true
    }
    dependsOn: [queues]
  }
]

// A new subscription has a rule `$Default` that takes everything: ours has its name, and so its place.
resource filters 'Microsoft.ServiceBus/namespaces/topics/subscriptions/rules@2024-01-01' = [
  for (subscription, i) in topology.subscriptions: {
    parent: subscriptions[i]
    name: '$Default'
    properties: {
      filterType: 'SqlFilter'
      sqlFilter: { sqlExpression: 'type IN (\'${join(subscription.types, '\', \'')}\')' }
    }
  }
]

@description('The id of the namespace.')
output id string = namespace.id

@description('The name of the namespace.')
output name string = namespace.name

@description('Where the namespace is reached, without a scheme.')
output host string = '${namespace.name}.servicebus.windows.net'
