using 'vault.bicep'

param environment = readEnvironmentVariable('AZURE_ENV_NAME')
param location = readEnvironmentVariable('AZURE_LOCATION')
param installation = readEnvironmentVariable('TESSERA_INSTALLATION', 'tessera')

// Whoever deploys: azd tells it, `az ad signed-in-user show` does, a pipeline knows its own.
param deployerPrincipalId = readEnvironmentVariable('AZURE_PRINCIPAL_ID')
param deployerPrincipalType = readEnvironmentVariable('AZURE_PRINCIPAL_TYPE', 'User')
