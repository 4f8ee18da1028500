// The gateway: API Management, with what its policies read (named values), whom it calls (backends) and where it tells of it.

import { identityReference } from 'identities.bicep'

@description('Where the gateway is.')
param location string

@description('Tags of every resource.')
param tags object

@description('The name of the gateway.')
param name string

@description('Its tier and units. Both tiers execute every policy we have; tests/infra compares.')
param tier { name: 'Developer' | 'StandardV2', capacity: int }

@description('Who it is.')
param identity identityReference

@description('To whom API Management writes, and who is named as publisher.')
param publisher { email: string, name: string }

@description('Where the vault is reached, with a slash at its end.')
param vaultUri string

@description('Values of named values that differ from their defaults, or have none; policies/operations.json.')
param values object

@description('Context → where the app that runs it is reached.')
param backends { *: string }

@description('Where requests are told to.')
param insights { id: string, connectionString: string }

@description('The share of requests that are told, in percent; failures always are.')
@minValue(0)
@maxValue(100)
param sampling int

@description('The subnet it calls backends from; none: the internet.')
param subnetId string?

var declared = loadJsonContent('../policies/operations.json').named_values
var secretNames = { 'gateway-secret': 'gateway-secret', 'insights-key': 'insights-api-key' }

resource gateway 'Microsoft.ApiManagement/service@2024-05-01' = {
  name: name
  location: location
  tags: tags
  sku: { name: tier.name, capacity: tier.capacity }
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identity.id}': {} } }
  properties: {
    publisherEmail: publisher.email
    publisherName: publisher.name
    virtualNetworkType: subnetId == null ? 'None' : 'External'
    virtualNetworkConfiguration: subnetId == null ? null : { subnetResourceId: subnetId! }
  }
}

resource namedValues 'Microsoft.ApiManagement/service/namedValues@2024-05-01' = [
  for value in items(declared): {
    parent: gateway
    name: value.key
    properties: {
      displayName: value.key
      secret: value.value.?secret ?? false
      value: (value.value.?secret ?? false) ? null : (values[?value.key] ?? value.value.?default)
      keyVault: (value.value.?secret ?? false)
        ? { secretIdentifier: '${vaultUri}secrets/${secretNames[value.key]}', identityClientId: identity.clientId }
        : null
    }
  }
]

// It opens when the app behind it is not there (502, 503, 504 in numbers); a single function's 500 is its own trouble.
resource apps 'Microsoft.ApiManagement/service/backends@2024-05-01' = [
  for backend in items(backends): {
    parent: gateway
    name: backend.key
    properties: {
      protocol: 'http'
      url: '${backend.value}/api'
      tls: { validateCertificateChain: true, validateCertificateName: true }
      circuitBreaker: {
        rules: [
          {
            name: 'away'
            failureCondition: { count: 50, interval: 'PT10S', statusCodeRanges: [{ min: 502, max: 504 }] }
            tripDuration: 'PT10S'
            acceptRetryAfter: false
          }
        ]
      }
    }
  }
]

resource logger 'Microsoft.ApiManagement/service/loggers@2024-05-01' = {
  parent: gateway
  name: 'applicationinsights'
  properties: {
    loggerType: 'applicationInsights'
    resourceId: insights.id
    credentials: { connectionString: insights.connectionString, identityClientId: identity.clientId }
  }
}

resource diagnostics 'Microsoft.ApiManagement/service/diagnostics@2024-05-01' = {
  parent: gateway
  name: 'applicationinsights'
  properties: {
    loggerId: logger.id
    alwaysLog: 'allErrors'
    httpCorrelationProtocol: 'W3C'
    verbosity: 'information'
    logClientIp: false
    sampling: { samplingType: 'fixed', percentage: sampling }
  }
}

// Around every operation. It reads named values, so these come first.
resource around 'Microsoft.ApiManagement/service/policies@2024-05-01' = {
  parent: gateway
  name: 'policy'
  properties: { format: 'xml', value: loadTextContent('../policies/global.xml') }
  dependsOn: [namedValues, apps]
}

@description('The id of the gateway.')
output id string = gateway.id

@description('The name of the gateway.')
output name string = gateway.name

@description('Where clients call.')
output url string = gateway.properties.gatewayUrl
