// The API: imported from openapi.json (make openapi), a policy for each of its operations (ADR 12), one product.

@description('The name of the gateway.')
param gatewayName string

var document = loadJsonContent('../openapi.json')
var policies = {
  'public-reads.xml': loadTextContent('../policies/public-reads.xml')
  'signed-in.xml': loadTextContent('../policies/signed-in.xml')
  'anonymous.xml': loadTextContent('../policies/anonymous.xml')
  'payments-webhook.xml': loadTextContent('../policies/payments-webhook.xml')
  'private-insights.xml': loadTextContent('../policies/private-insights.xml')
}
var operations = flatten(map(items(document.paths), path => map(items(path.value), method => method.value)))

resource gateway 'Microsoft.ApiManagement/service@2024-05-01' existing = {
  name: gatewayName
}

resource api 'Microsoft.ApiManagement/service/apis@2024-05-01' = {
  parent: gateway
  name: 'tessera'
  properties: {
    displayName: document.info.title
    path: 'api'
    protocols: ['https']
    subscriptionRequired: false
    format: 'openapi+json'
    value: string(document)
    translateRequiredQueryParameters: 'query'
  }
}

resource imported 'Microsoft.ApiManagement/service/apis/operations@2024-05-01' existing = [
  for operation in operations: {
    parent: api
    name: operation.operationId
  }
]

// Five at a time: an API that many write to at once answers 409.
@batchSize(5)
resource around 'Microsoft.ApiManagement/service/apis/operations/policies@2024-05-01' = [
  for (operation, i) in operations: {
    parent: imported[i]
    name: 'policy'
    properties: { format: 'xml', value: policies[operation['x-policy']] }
  }
]

// Without a subscription key: who somebody is, their token tells.
resource product 'Microsoft.ApiManagement/service/products@2024-05-01' = {
  parent: gateway
  name: 'tickets'
  properties: {
    displayName: 'Tickets'
    description: 'Browsing, buying and the door, for the website and for machines with a service key.'
    state: 'published'
    subscriptionRequired: false
  }
}

resource inProduct 'Microsoft.ApiManagement/service/products/apis@2024-05-01' = {
  parent: product
  name: api.name
  dependsOn: [around]
}
