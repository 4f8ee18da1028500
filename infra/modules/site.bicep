// The website: static files, served by Azure's own network. What it shows comes from the gateway.

@description('Where its settings are kept; the files are everywhere. Of five regions; main.bicep names them.')
param location string

@description('Tags of every resource.')
param tags object

@description('The name of the site.')
param name string

@description('Free has no service level and no domain with a certificate of one\'s own beyond two.')
param tier 'Free' | 'Standard'

resource site 'Microsoft.Web/staticSites@2024-11-01' = {
  name: name
  location: location
  tags: tags
  sku: { name: tier, tier: tier }
  properties: { allowConfigFileUpdates: true, stagingEnvironmentPolicy: 'Disabled' }
}

@description('The name of the site.')
output name string = site.name

@description('Where it is served.')
output url string = 'https://${site.properties.defaultHostname}'
